"""Hyperparameters of a training job as SageMaker hands them over: text alone."""

from collections.abc import Mapping
from typing import Final

from trainer.sagemaker.algorithms import ALGORITHMS
from trainer.sagemaker.hyperparameters import SageMakerHyperparameters
from trainer.tasks import TaskName

REQUIRED: Final[Mapping[TaskName, Mapping[str, str]]] = {
    "image-classification": {"num_classes": "4", "num_training_samples": "100"},
    "semantic-segmentation": {"num_classes": "4", "num_training_samples": "100"},
    "object-detection": {},
}


def asked(algorithm: TaskName, /, **values: str) -> SageMakerHyperparameters:
    """What a job asks for with these hyperparameters and the required ones."""
    return ALGORITHMS[algorithm].parse({**REQUIRED[algorithm], **values}, further=False)
