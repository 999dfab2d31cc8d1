"""What a task tells the server. A task knows no protocol.

It answers in two ways: with the labels, for people and the protocols that were made for them; and
with the classes' indices, for programs that have the labels themselves.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import orjson
from pydantic import ConfigDict

from contract.model_config import ModelConfig
from contract.options import Options
from contract.pictures import Fit, Picture
from server.errors import LoadError
from server.execution import Row
from server.media_types import JSON
from server.rendering import Body, Dialect, Rendering


class RequestOptions(Options):
    """What the JSON `parameters` of a request may say; the text "0.5" is no number there."""

    model_config = ConfigDict(strict=True)


class Task(ABC):
    """A vision task over one model; what a subclass leaves out is what most tasks do.

    Args:
        config: The model's configuration.
        labels: Its class names in index order.

    Raises:
        LoadError: The configuration is not of a model of this task.
    """

    fit: ClassVar[Fit] = "squash"
    """How a picture of another aspect is brought to the model's size."""

    options: ClassVar[type[Options]] = RequestOptions
    """What the `parameters` of a request may say."""

    bare_answer: ClassVar[bool] = False
    """Whether EasyMaker's `/inference` gives the answer without the `predictions` wrapper."""

    indexed_options: ClassVar[type[Options]] = Options
    """What may be said of an answer with the classes' indices."""

    def __init__(self, config: ModelConfig, labels: tuple[str, ...]) -> None:
        if not labels:
            raise LoadError(
                f"model '{config.name}': no output has a label_filename; "
                "expected one that names the classes, as labels.txt"
            )
        self.labels = labels

    def prepare(self, picture: Picture) -> Row:
        """The model's inputs for one picture; here `image`, RGB uint8 [H, W, 3], alone."""
        return {"image": picture.pixels}

    def fault(self, _inputs: Row) -> str:
        """Why no picture has these inputs, which a client prepared itself; empty if one may."""
        return ""

    @abstractmethod
    def answer_bytes(self, height: int, width: int, options: Options) -> int:
        """About the memory that the answer for a picture of that size takes, JSON included."""

    @abstractmethod
    def answer(self, outputs: Row, picture: Picture, options: Options) -> object:
        """The answer for one picture: what orjson writes, numpy arrays included."""

    def labelled(self) -> Mapping[str, Rendering[Body]]:
        """The answers with the labels, by media type, JSON first. Their options are `options`."""
        return {JSON: Rendering(self._written, self.answer_bytes)}

    @abstractmethod
    def indexed(self, dialect: Dialect) -> Mapping[str, Rendering[Body]]:
        """The answers with the classes' indices, by media type, the usual one first.

        Their options are `indexed_options`.
        """

    def _written(self, outputs: Row, picture: Picture, options: Options) -> bytes:
        """The answer as JSON: to let go of its objects, for many pictures at once, takes long."""
        return orjson.dumps(
            self.answer(outputs, picture, options), option=orjson.OPT_SERIALIZE_NUMPY
        )
