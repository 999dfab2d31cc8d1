"""Object detection: boxes, scores, labels of each query -> the objects above the threshold; or all."""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Final

import numpy as np
import orjson
from pydantic import Field

from contract.model_config import ModelConfig
from contract.options import Options
from contract.pictures import Fit, Picture
from server.errors import LoadError
from server.execution import Row
from server.media_types import JSON
from server.rendering import Body, BoxOrder, Dialect, Rendering
from server.tasks.task import RequestOptions, Task

DEFAULT_THRESHOLD = 0.5

_MOST_OBJECTS = 300  # queries of the largest of the detectors
_OBJECT_BYTES = 700
_LABEL_BYTES = 300

_COLUMNS: Final[Mapping[BoxOrder, list[int]]] = {"xyxy": [0, 1, 2, 3], "xxyy": [0, 2, 1, 3]}
_YXYX: Final = [1, 0, 3, 2]


class DetectionOptions(RequestOptions):
    """What a request may say of its objects."""

    threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="lowest score of an object; by default the model's own",
    )
    scores: bool = Field(default=False, description="add the score beside each box")
    round: bool = Field(
        default=True, description="boxes in whole pixels; false keeps the parts of a pixel"
    )


class IndexedOptions(Options):
    """What may be said of an answer with the classes' indices."""

    verbose: bool = Field(
        default=False, description="add the labels, and all boxes as TensorFlow's detectors do"
    )
    n_predictions: int | None = Field(
        default=None, ge=1, description="how many boxes, the best ones; by default all"
    )


class Detection(Task):
    """Answers with `[{"balloon": {"xmin": 293, ...}}, ...]`, EasyMaker's format."""

    fit: ClassVar[Fit] = "pad"
    options: ClassVar[type[Options]] = DetectionOptions
    indexed_options: ClassVar[type[Options]] = IndexedOptions

    def __init__(self, config: ModelConfig, labels: tuple[str, ...]) -> None:
        super().__init__(config, labels)
        self._threshold = _threshold(config)
        self._height, self._width = config.inputs[0].dims[:2]

    def prepare(self, picture: Picture) -> Row:
        """The inputs `image`, RGB uint8 [S, S, 3], and `size`, the height and width within it."""
        size = np.array([picture.content_height, picture.content_width], np.int32)
        return {"image": picture.pixels, "size": size}

    def fault(self, inputs: Row) -> str:
        """`size` must be the height and width of a picture within `image`, 1 pixel or more."""
        height, width = inputs["size"].tolist()
        if 1 <= height <= self._height and 1 <= width <= self._width:
            return ""
        return (
            f"size is [{height}, {width}]; expected the height and width that the picture has "
            f"in the image, from [1, 1] to [{self._height}, {self._width}]"
        )

    def answer_bytes(self, _height: int, _width: int, _options: Options) -> int:
        """As much for each of the most objects."""
        return _OBJECT_BYTES * _MOST_OBJECTS

    def answer(self, outputs: Row, picture: Picture, options: Options) -> object:
        """The objects, best first: {label: box}, xyxy in pixels of the picture as sent."""
        assert isinstance(options, DetectionOptions)  # noqa: S101  # this class's own type
        threshold = self._threshold if options.threshold is None else options.threshold
        scores = outputs["scores"].astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        kept = order[scores[order] > threshold]
        scale = np.array([picture.width, picture.height] * 2, np.float32)
        boxes = np.clip(outputs["boxes"][kept], 0, 1) * scale
        corners = (np.rint(boxes).astype(np.int64) if options.round else boxes).tolist()
        labels = outputs["labels"][kept].tolist()
        return [
            {
                self.labels[label]: dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
                **({"score": score} if options.scores else {}),
            }
            for label, box, score in zip(labels, corners, scores[kept].tolist(), strict=True)
        ]

    def indexed(self, dialect: Dialect) -> Mapping[str, Rendering[Body]]:
        """Each query's box in [0, 1] of the picture, class and score, best first."""
        make = partial(self._boxes, _COLUMNS[dialect.box_order])
        size = _OBJECT_BYTES * _MOST_OBJECTS + _LABEL_BYTES * len(self.labels)
        return {JSON: Rendering(make, lambda *_: size)}

    def _boxes(
        self, columns: list[int], outputs: Row, _picture: Picture, options: Options
    ) -> bytes:
        assert isinstance(options, IndexedOptions)  # noqa: S101  # this class's own type
        scores = outputs["scores"].astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        boxes = np.clip(outputs["boxes"][order].astype(np.float32), 0, 1)
        classes, scores = outputs["labels"][order], scores[order]
        most = options.n_predictions
        answer: dict[str, object] = {
            "normalized_boxes": boxes[:most].take(columns, axis=1),
            "classes": classes[:most],
            "scores": scores[:most],
        }
        if options.verbose:
            answer |= {
                "labels": self.labels,
                "tensorflow_model_output": {  # of a batch of one
                    "detection_boxes": [boxes.take(_YXYX, axis=1)],
                    "detection_classes": [classes.astype(np.float32)],
                    "detection_scores": [scores],
                    "num_detections": [float(len(scores))],
                },
            }
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _threshold(config: ModelConfig) -> float:
    text = config.parameters.get("threshold", str(DEFAULT_THRESHOLD))
    try:
        threshold = float(text)
    except ValueError:
        threshold = -1
    if not 0 <= threshold <= 1:
        raise LoadError(f"model '{config.name}': parameter threshold is {text!r}, not in [0, 1]")
    return threshold
