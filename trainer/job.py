"""What a training is made of besides the model, and what its caller has a part in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from transformers import TrainerCallback

from trainer.checkpoints import Checkpoint
from trainer.datasets.dataset import Dataset
from trainer.hardware import Hardware
from trainer.hyperparameters import Hyperparameters
from trainer.processes import Processes
from trainer.stopping import StopRequest
from trainer.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a caller has a part in.

    Attributes:
        callbacks: Called beside ours; validation metrics come by on_evaluate. The log's numbers are
            theirs to write: a tuning job would take ours for its own.
        stop: How it asks the training to end.
        weights: A checkpoint folder whose weights it starts with; None for those that the
            hyperparameters name.
        accompany: Puts files of the checkpoint into the folder that becomes its published version.
        train_metrics: Whether the lines of the training loss say the task's metrics of the training
            batches, too, as far as these are known from single batches.
    """

    callbacks: tuple[TrainerCallback, ...] = ()
    stop: StopRequest = field(default_factory=StopRequest)
    weights: Path | None = None
    accompany: Callable[[Checkpoint, Path], None] | None = None
    train_metrics: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a training is made of besides the model."""

    task: Task
    dataset: Dataset
    hardware: Hardware
    processes: Processes
    run_dir: Path
    event_dir: Path
    hooks: Hooks = field(default_factory=Hooks)

    @property
    def wanted(self) -> Hyperparameters:
        """The hyperparameters."""
        return self.task.wanted
