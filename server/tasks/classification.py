"""Image classification: scores[K] -> every label with its score, best first."""

from typing import ClassVar

import numpy as np

from contract.model_config import ModelConfig
from contract.options import Options
from contract.pictures import Fit, Picture
from server.errors import LoadError
from server.tasks.task import Row


class ClassificationOptions(Options):
    """A classification has nothing to choose."""


class Classification:
    """Answers with `[{"score": 0.9992, "label": "dog"}, ...]`, EasyMaker's format."""

    fit: ClassVar[Fit] = "squash"
    options: ClassVar[type[Options]] = ClassificationOptions
    bare_answer: ClassVar[bool] = True
    media_types: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: ModelConfig, labels: tuple[str, ...]) -> None:
        classes = config.outputs[0].dims[0]
        if len(labels) != classes:
            raise LoadError(f"model '{config.name}': {len(labels)} labels for {classes} classes")
        self._labels = labels
        self._size = config.inputs[0].dims[0], config.inputs[0].dims[1]

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width of the model's pictures."""
        return self._size

    def prepare(self, picture: Picture) -> Row:
        """The input `image`, RGB uint8 [H, W, 3]."""
        return {"image": picture.pixels}

    def answer(self, outputs: Row, _picture: Picture, _options: Options) -> object:
        """Every label with its score in [0, 1], best first; equal scores in label order."""
        scores = outputs["scores"]
        order = np.argsort(-scores.astype(np.float32), kind="stable")
        return [{"score": float(scores[i]), "label": self._labels[i]} for i in order.tolist()]

    def render(self, media_type: str, outputs: Row, picture: Picture, options: Options) -> bytes:
        """A classification is JSON alone."""
        raise AssertionError(media_type)
