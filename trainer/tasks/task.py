"""What a task is: the functions that differ between classification, segmentation and detection.

Everything else (the scan, the training, the checkpoints, the export, the publishing, the three
ways to evaluate) knows only this.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import EvalPrediction, PreTrainedModel

from contract.model_config import Json, TensorSpec
from trainer.datasets.dataset import Dataset, Target
from trainer.hyperparameters import Hyperparameters
from trainer.pictures import Item
from trainer.tasks import TaskName

Batch: TypeAlias = dict[str, Tensor]
Outputs: TypeAlias = dict[str, NDArray[np.generic]]  # by tensor name, the batch axis first
Metrics: TypeAlias = dict[str, float]


class Task(Protocol):
    """One vision task."""

    @property
    def name(self) -> TaskName:
        """The task's name in `TASKS`, in config.pbtxt and on the command line."""

    @property
    def resize(self) -> str:
        """config.pbtxt's `resize`: how a picture becomes the input's size."""

    def read(self, data: Path) -> Dataset:
        """Read a dataset folder to train on."""

    def read_split(self, data: Path, split: str, labels: Sequence[str]) -> Dataset:
        """Read one split of a dataset folder to evaluate a model of known labels on."""

    def build_model(self, wanted: Hyperparameters, labels: Sequence[str]) -> PreTrainedModel:
        """A model to train, from random or given weights; its config says all the export needs."""

    def load_model(self, folder: Path) -> PreTrainedModel:
        """The fp32 model of a checkpoint folder, ready to evaluate."""

    def train_size(self, wanted: Hyperparameters) -> int:
        """Height and width in pixels that a training picture is decoded at."""

    def collate_train(self, items: Sequence[Item], wanted: Hyperparameters) -> Batch:
        """Augmented model inputs and targets of a training batch."""

    def collate_eval(self, items: Sequence[Item]) -> Batch:
        """Model inputs and targets of an evaluation batch."""

    def training_metrics(self, prediction: EvalPrediction) -> Metrics:
        """The metrics of the model's own outputs, at the end of an epoch."""

    def metrics(self, outputs: Outputs, targets: Sequence[Target]) -> Metrics:
        """The metrics of the exported graph's outputs."""

    def serving_module(self, model: PreTrainedModel) -> nn.Module:
        """The model from uint8 image [B, S, S, 3] to a tuple of its outputs, for the export."""

    def tensors(
        self, input_size: int, labels: Sequence[str]
    ) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """The exported graph's inputs and outputs."""

    def parse_predictions(self, predictions: Sequence[Json], labels: Sequence[str]) -> Outputs:
        """Outputs from the entries of a V1 answer; ValueError where one is of another form."""

    def predicted_labels(self, prediction: Json) -> tuple[str, ...]:
        """The labels that a V1 answer's entry names, sorted; ValueError as above."""
