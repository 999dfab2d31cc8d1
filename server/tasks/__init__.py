"""One file a task: how a picture becomes a model's inputs, and its outputs an answer."""

from collections.abc import Mapping
from typing import ClassVar, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from contract.model_config import Json, ModelConfig
from contract.pictures import Picture
from server.tasks.classification import Classification


class Task(Protocol):
    """What a task tells the server; it knows no protocol."""

    bare_answer: ClassVar[bool]
    """Whether EasyMaker's `/inference` gives the answer without the `predictions` wrapper."""

    def __init__(self, config: ModelConfig, labels: tuple[str, ...]) -> None: ...

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width to which a picture is resized."""
        ...

    def prepare(self, picture: Picture) -> Mapping[str, NDArray[np.generic]]:
        """The model's inputs for one picture, without the batch axis."""
        ...

    def answer(self, outputs: Mapping[str, NDArray[np.generic]]) -> Json:
        """The answer for one picture, from its outputs without the batch axis."""
        ...


TASKS: Final[Mapping[str, type[Task]]] = {
    "image-classification": Classification,
}
