"""One file a task: how a picture becomes a model's inputs, and its outputs an answer."""

from collections.abc import Mapping
from typing import Final

from server.tasks.classification import Classification
from server.tasks.detection import Detection
from server.tasks.segmentation import Segmentation
from server.tasks.task import Task

TASKS: Final[Mapping[str, type[Task]]] = {
    "image-classification": Classification,
    "semantic-segmentation": Segmentation,
    "object-detection": Detection,
}
