"""Image classification: scores[K] -> every label with its score, best first."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from contract.model_config import Json, ModelConfig
from contract.pictures import Picture
from server.errors import LoadError


class Classification:
    """Answers with `[{"score": 0.9992, "label": "dog"}, ...]`, EasyMaker's format."""

    bare_answer: ClassVar[bool] = True

    def __init__(self, config: ModelConfig, labels: tuple[str, ...]) -> None:
        classes = config.outputs[0].dims[0]
        if len(labels) != classes:
            raise LoadError(f"model '{config.name}': {len(labels)} labels for {classes} classes")
        self._labels = labels
        self._size = config.inputs[0].dims[0], config.inputs[0].dims[1]

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width to which a picture is resized."""
        return self._size

    def prepare(self, picture: Picture) -> Mapping[str, NDArray[np.generic]]:
        """The input `image`, RGB uint8 [H, W, 3]."""
        return {"image": picture.pixels}

    def answer(self, outputs: Mapping[str, NDArray[np.generic]]) -> Json:
        """Every label with its score in [0, 1], best first; equal scores in label order."""
        scores = outputs["scores"]
        order = np.argsort(-scores.astype(np.float32), kind="stable")
        return [{"score": float(scores[i]), "label": self._labels[i]} for i in order.tolist()]
