"""What a task is: the functions that differ between classification, segmentation and detection.

Everything else (the scan, the training, the checkpoints, the export, the publishing, the three
ways to evaluate) knows only this.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from contract.model_config import Json, TensorSpec
from contract.pictures import Fit, Picture
from trainer.datasets.dataset import Dataset, Sample
from trainer.hardware import Hardware
from trainer.hyperparameters import Hyperparameters
from trainer.pictures import Item, View
from trainer.pixel_size import PixelSize
from trainer.tasks import TaskName

Batch: TypeAlias = dict[str, Any]  # the keywords of a transformers model's forward
Inputs: TypeAlias = Mapping[str, NDArray[Any]]  # the graph's, by tensor name
Outputs: TypeAlias = dict[str, NDArray[Any]]  # by tensor name, the batch axis first
Metrics: TypeAlias = dict[str, float]
Losses: TypeAlias = Mapping[
    str, Tensor
]  # scalars: `loss`, and what it is the sum of if a task says

LOSS: Final = "loss"

PRODUCTS: Final = ("Conv", "Gemm", "MatMul")
"""The operators that every task computes in int8 where that is asked for."""


class Metric(Protocol):
    """Metrics that are gathered batch by batch; its size does not grow with the pictures'."""

    def update(self, outputs: Outputs, samples: Sequence[Sample]) -> None:
        """Take in the graph's outputs [B, ...] for a batch of samples."""

    def merge(self, other: Self) -> None:
        """Take in what another process has gathered."""

    def compute(self) -> Metrics:
        """The metrics of all that was taken in, by name."""


@dataclass(frozen=True)
class Task(ABC):
    """One vision task; what a subclass leaves out is what most tasks do.

    Attributes:
        wanted: What a training asks for, of the task's own type; the defaults beside one.
    """

    wanted: Hyperparameters

    name: ClassVar[TaskName]
    """The task's name in `TASKS`, in config.pbtxt and on the command line."""

    main_metric: ClassVar[str]
    """The metric, more of which is better, that a lower precision is judged by."""

    head: ClassVar[tuple[str, ...]]
    """How the names of the weights begin that depend on the labels."""

    fit: ClassVar[Fit] = "squash"
    """How a picture is brought to the input's size; config.pbtxt's `resize`."""

    quantised: ClassVar[tuple[str, ...]] = PRODUCTS
    """The operators of the exported graph that int8.py computes in int8."""

    request_parameters: ClassVar[Mapping[str, Json]] = MappingProxyType({})
    """The `parameters` of a V1 request whose answer `parse_predictions` understands."""

    def of(self, wanted: Hyperparameters) -> Self:
        """The task as a training with these hyperparameters has it."""
        return replace(self, wanted=wanted)

    @abstractmethod
    def read(self, data: Path) -> Dataset:
        """Read a dataset folder to train on."""

    @abstractmethod
    def read_split(self, data: Path, split: str, labels: Sequence[str]) -> Dataset:
        """Read one split of a dataset folder to evaluate a model of known labels on."""

    @abstractmethod
    def faults(self, dataset: Dataset) -> list[str]:
        """What makes a dataset useless to train on once its bad pictures are gone."""

    def batch_size(self, _hardware: Hardware) -> int:
        """Training pictures a step of each process; what a size of 0 leaves to this machine."""
        return self.wanted.per_device_train_batch_size

    @abstractmethod
    def build_model(self, labels: Sequence[str]) -> PreTrainedModel:
        """A model to train, from random or given weights; its config says all the export needs."""

    @abstractmethod
    def load_model(self, folder: Path) -> PreTrainedModel:
        """The fp32 model of a checkpoint folder, ready to evaluate."""

    def begin(self, model: PreTrainedModel, dataset: Dataset) -> None:  # noqa: B027 - a default
        """Tell a model that will be trained what its loss depends on besides the batch."""

    @abstractmethod
    def train_view(self) -> View:
        """How a training picture is decoded; `collate_train` does the rest of its augmentation."""

    @abstractmethod
    def collate_train(self, items: Sequence[Item]) -> Batch:
        """Augmented model inputs and targets of a training batch."""

    @abstractmethod
    def collate_eval(self, items: Sequence[Item]) -> Batch:
        """Model inputs and targets of an evaluation batch."""

    def measure_step(self, _outputs: ModelOutput, _batch: Batch) -> Mapping[str, Tensor]:
        """Means over a training batch, from what the step has computed anyway, by metric."""
        return {}

    @abstractmethod
    def evaluate_batch(self, model: nn.Module, batch: Batch) -> tuple[Losses, Outputs]:
        """The loss, and the outputs that the exported graph has, of a `collate_eval` batch."""

    @abstractmethod
    def metric(self, labels: Sequence[str]) -> Metric:
        """A new, empty metric."""

    def illustrate(
        self, _outputs: Outputs, _sample: Sample, _labels: Sequence[str]
    ) -> NDArray[np.uint8] | None:
        """A picture [H, W, 3] of the outputs [1, ...] beside the truth for TensorBoard, or None."""
        return None

    def prepare(self, picture: Picture) -> Inputs:
        """The graph's inputs for one picture, without the batch axis, as the server makes them.

        Here `image`, RGB uint8 [H, W, 3], alone.
        """
        return {"image": picture.pixels}

    @abstractmethod
    def serving_module(self, model: PreTrainedModel) -> nn.Module:
        """The model from the graph's inputs [B, ...] to a tuple of its outputs, for the export."""

    @abstractmethod
    def tensors(
        self, model: PreTrainedModel, input_size: PixelSize, labels: Sequence[str]
    ) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """The exported graph's inputs and outputs, whose sizes Triton compares with the graph's."""

    def align(self, ours: Outputs, _reference: Outputs) -> Outputs:
        """`ours`, but as `reference` has it where rounding alone chose between equals."""
        return ours

    def parameters(self) -> Mapping[str, str]:
        """What config.pbtxt's parameters say beside what every task says."""
        return {}

    @abstractmethod
    def parse_predictions(
        self, predictions: Sequence[Json], labels: Sequence[str], pictures: Sequence[Picture]
    ) -> Outputs:
        """Outputs from the entries of a V1 answer; ValueError where one is of another form."""
