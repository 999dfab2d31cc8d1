"""SageMaker's hyperparameters as text -> checked ones, which know the recipe that they ask for.

Each algorithm has a subclass in a file of its own, with SageMaker's names, defaults and ranges.
What is common is how text becomes values, and what the container asks of each of them.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Self

from contract.errors import OptionsError
from contract.options import Options, build
from trainer.datasets.dataset import TRAIN, Dataset
from trainer.hyperparameters import Hyperparameters
from trainer.sagemaker.values import unquoted

if TYPE_CHECKING:
    from transformers import TrainerCallback

    from trainer.sagemaker.channel import Channel

_STOPPING: Final = "early_stopping"


@dataclass(frozen=True, slots=True)
class Host:
    """What a recipe depends on of the machine.

    Attributes:
        processes: Processes of this host, among which SageMaker splits a mini-batch.
        has_gpu: Whether they compute on GPUs.
    """

    processes: int = 1
    has_gpu: bool = False

    def share(self, batch_size: int) -> int:
        """Pictures of a mini-batch for each process, rounded up."""
        return -(-batch_size // self.processes)


ALONE = Host()
"""One process on a CPU."""


class SageMakerHyperparameters(Options):
    """What a training job asks of an algorithm."""

    refuse_empty = frozenset({"bool", "list"})

    channels: ClassVar[tuple[str, ...]]
    """The channels that it reads, besides `model`."""

    @classmethod
    def parse(cls, values: Mapping[str, str], *, further: bool = False) -> Self:
        """Check the values of hyperparameters.json.

        Args:
            values: The values by name.
            further: Whether a model of the job's own is trained further, so that no weights of the
                hub count.

        Raises:
            OptionsError: One line for each unknown name, each value out of its range, and each
                combination that cannot be.
        """
        wanted = build(cls, {name: unquoted(value) for name, value in values.items()})
        if faults := wanted.faults() + ([] if further else wanted.pretrained_faults()):
            raise OptionsError(faults)
        return wanted

    @abstractmethod
    def faults(self) -> list[str]:
        """What cannot be wanted together, one line each."""

    @abstractmethod
    def pretrained_faults(self) -> list[str]:
        """What weights of the hub cannot start, one line each."""

    @abstractmethod
    def recipe(self, host: Host = ALONE) -> Hyperparameters:
        """The same training in the trainer's own hyperparameters."""

    @abstractmethod
    def notes(self, host: Host = ALONE) -> list[str]:
        """What was given and is ignored or done otherwise, one line each, for the log."""

    @abstractmethod
    def read(self, channels: Mapping[str, "Channel"], workspace: Path) -> Dataset:
        """The dataset in the job's channels.

        Raises:
            OptionsError: A hyperparameter that these channels need is missing.
            DatasetError: The channels hold no dataset for this algorithm.
        """

    @abstractmethod
    def architecture(self) -> dict[str, str]:
        """What a model that is trained further must have been trained with."""

    @abstractmethod
    def log_lines(self) -> "TrainerCallback":
        """A callback that prints the metrics as this algorithm of SageMaker does."""

    def early_stopping_recipe(self) -> dict[str, object]:
        """The recipe's early stopping, whose fields have the same names; the best epoch is published."""
        names = (name for name in type(self).model_fields if name.startswith(_STOPPING))
        return {"published_checkpoint": "best", **{name: getattr(self, name) for name in names}}


def split_note(name: str, batch_size: int, share: int, host: Host) -> list[str]:
    """A line where a batch cannot be split over the processes as it is."""
    total = share * host.processes
    if total == batch_size:
        return []
    return [
        f"{name}: {batch_size} pictures are split over {host.processes} processes as {share} each, "
        f"so that a step sees {total}"
    ]


def counted(dataset: Dataset, num_training_samples: int) -> Dataset:
    """The dataset with a warning where it holds another number of training pictures than given."""
    found = len(dataset.splits[TRAIN])
    if found == num_training_samples:
        return dataset
    warning = (
        f"num_training_samples is {num_training_samples}, but the train channel holds {found} "
        "pictures, by which the learning rate's schedule goes"
    )
    return replace(dataset, warnings=(*dataset.warnings, warning))
