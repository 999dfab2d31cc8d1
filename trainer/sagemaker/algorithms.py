"""SageMaker's vision algorithms: one file each, and one line each in `ALGORITHMS`."""

from collections.abc import Mapping
from typing import Final

from trainer.sagemaker.hyperparameters import SageMakerHyperparameters
from trainer.sagemaker.image_classification import ImageClassification
from trainer.sagemaker.object_detection import ObjectDetection
from trainer.sagemaker.semantic_segmentation import SemanticSegmentation
from trainer.tasks import TaskName

ALGORITHMS: Final[Mapping[TaskName, type[SageMakerHyperparameters]]] = {
    "image-classification": ImageClassification,
    "semantic-segmentation": SemanticSegmentation,
    "object-detection": ObjectDetection,
}
"""Each algorithm by its name, which is that of the task that it is."""
