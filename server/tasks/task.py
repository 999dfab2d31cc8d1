"""What a task tells the server. A task knows no protocol."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from numpy.typing import NDArray

from contract.model_config import ModelConfig
from contract.options import Options
from contract.pictures import Fit, Picture

Row = Mapping[str, NDArray[Any]]
"""The tensors of one picture by name, without the batch axis."""


class Task(Protocol):
    """A vision task over one model."""

    fit: ClassVar[Fit]
    """How a picture of another aspect is brought to the model's size."""

    options: ClassVar[type[Options]]
    """What the `parameters` of a request may say."""

    bare_answer: ClassVar[bool]
    """Whether EasyMaker's `/inference` gives the answer without the `predictions` wrapper."""

    media_types: ClassVar[tuple[str, ...]]
    """Beside JSON, what an answer can be rendered as."""

    def __init__(self, config: ModelConfig, labels: tuple[str, ...]) -> None: ...

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width of the model's pictures."""
        ...

    def prepare(self, picture: Picture) -> Row:
        """The model's inputs for one picture."""
        ...

    def answer(self, outputs: Row, picture: Picture, options: Options) -> object:
        """The answer for one picture: what orjson writes, numpy arrays included."""
        ...

    def render(self, media_type: str, outputs: Row, picture: Picture, options: Options) -> bytes:
        """The answer for one picture as one of `media_types`."""
        ...
