"""How an answer is made of a model's outputs for one picture: by a task, for a protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

from contract.options import Options
from contract.pictures import Picture
from server.execution import Row

AnswerT = TypeVar("AnswerT")

Body: TypeAlias = bytes | memoryview
"""An answer that is written already."""

BoxOrder: TypeAlias = Literal["xyxy", "xxyy"]
"""The corners of a box: xmin, ymin, xmax, ymax; or xmin, xmax, ymin, ymax."""


@dataclass(frozen=True, slots=True)
class Rendering(Generic[AnswerT]):
    """One form of a task's answers.

    Attributes:
        make: Makes the answer for one picture of the model's outputs, as the options say.
        answer_bytes: About the memory that the answer for a picture of that height and width takes.
    """

    make: Callable[[Row, Picture, Options], AnswerT]
    answer_bytes: Callable[[int, int, Options], int]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is written in two ways by who answers classes by index.

    Attributes:
        named: Whether scores stand in an object, as batch transform has them, or alone.
        box_order: The corners of a box.
    """

    named: bool = False
    box_order: BoxOrder = "xyxy"
