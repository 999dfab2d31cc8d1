"""A training job, once its own words are known to be good."""

from dataclasses import dataclass
from pathlib import Path

from trainer.sagemaker.container import Container
from trainer.sagemaker.folders import Folders
from trainer.sagemaker.hyperparameters import SageMakerHyperparameters
from trainer.sagemaker.incremental import Architecture
from trainer.sagemaker.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What a training is made of.

    Attributes:
        settings: What the command is told.
        folders: The container's folders.
        container: What the container is told.
        asked: The algorithm's hyperparameters.
        architecture: What the model is, in the algorithm's words.
        workspace: A folder for what is no part of the job's outcome.
        start: The checkpoint of the `model` channel that it starts with; None without the channel,
            and where that holds a detector of AWS' own.
    """

    settings: TrainSettings
    folders: Folders
    container: Container
    asked: SageMakerHyperparameters
    architecture: Architecture
    workspace: Path
    start: Path | None
