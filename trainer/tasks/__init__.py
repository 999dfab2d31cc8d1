"""The vision tasks: one file each, and one line each in `TASKS`.

The table itself is light: the module of a task, which needs torch, is loaded when it is used.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final, Literal

from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.detection_hyperparameters import DetectionHyperparameters
from trainer.hyperparameters import Hyperparameters
from trainer.segmentation_hyperparameters import SegmentationHyperparameters

if TYPE_CHECKING:
    from trainer.tasks.task import Task

TaskName = Literal["image-classification", "semantic-segmentation", "object-detection"]


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """A line of the table: the task's hyperparameters and the module with its `TASK`."""

    hyperparameters: type[Hyperparameters]
    module: str


TASKS: Final[dict[TaskName, TaskEntry]] = {
    "image-classification": TaskEntry(
        ClassificationHyperparameters, "trainer.tasks.classification"
    ),
    "semantic-segmentation": TaskEntry(SegmentationHyperparameters, "trainer.tasks.segmentation"),
    "object-detection": TaskEntry(DetectionHyperparameters, "trainer.tasks.detection"),
}


def load_task(name: TaskName) -> "Task":
    """Import a task with everything it needs."""
    task: Task = import_module(TASKS[name].module).TASK
    return task
