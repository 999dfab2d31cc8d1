"""Image classification: scores[K] -> every label with its score, best first; or the scores."""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import orjson

from contract.model_config import ModelConfig
from contract.options import Options
from contract.pictures import Picture
from server.errors import LoadError
from server.execution import Row
from server.media_types import JSON, JSON_LINES
from server.rendering import Body, Dialect, Rendering
from server.tasks.task import Task

_LABEL_BYTES = 300
_SCORE_BYTES = 30


class Classification(Task):
    """Answers with `[{"score": 0.9992, "label": "dog"}, ...]`, EasyMaker's format."""

    bare_answer: ClassVar[bool] = True

    def __init__(self, config: ModelConfig, labels: tuple[str, ...]) -> None:
        super().__init__(config, labels)
        classes = config.outputs[0].dims[0]
        if len(labels) != classes:
            raise LoadError(f"model '{config.name}': {len(labels)} labels for {classes} classes")

    def answer_bytes(self, _height: int, _width: int, _options: Options) -> int:
        """As much for each label."""
        return _LABEL_BYTES * len(self.labels)

    def answer(self, outputs: Row, _picture: Picture, _options: Options) -> object:
        """Every label with its score in [0, 1], best first; equal scores in label order."""
        scores = outputs["scores"]
        order = np.argsort(-scores.astype(np.float32), kind="stable")
        return [{"score": float(scores[i]), "label": self.labels[i]} for i in order.tolist()]

    def indexed(self, dialect: Dialect) -> Mapping[str, Rendering[Body]]:
        """The scores in the classes' order: a list, {"prediction": list}, or a line of that."""
        listed, named, line = "%b", '{"prediction":%b}', '{"prediction":%b}\n'
        return {
            JSON: self._rendering(named if dialect.named else listed),
            JSON_LINES: self._rendering(line),
        }

    def _rendering(self, form: str) -> Rendering[Body]:
        size = _SCORE_BYTES * len(self.labels)
        return Rendering(partial(_scores, form.encode()), lambda *_: size)


def _scores(form: bytes, outputs: Row, _picture: Picture, _options: Options) -> bytes:
    scores = np.ascontiguousarray(outputs["scores"], np.float32)
    return form % orjson.dumps(scores, option=orjson.OPT_SERIALIZE_NUMPY)
