"""Object detection: boxes, scores, labels of each query -> the objects above the threshold."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from contract.model_config import ModelConfig
from contract.options import Options
from contract.pictures import Fit, Picture
from server.errors import LoadError
from server.execution import Row
from server.tasks.task import RequestOptions, Task

DEFAULT_THRESHOLD = 0.5

_MOST_OBJECTS = 300  # queries of the largest of the detectors
_OBJECT_BYTES = 700


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


class Detection(Task):
    """Answers with `[{"balloon": {"xmin": 293, ...}}, ...]`, EasyMaker's format."""

    fit: ClassVar[Fit] = "pad"
    options: ClassVar[type[Options]] = DetectionOptions

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


def _threshold(config: ModelConfig) -> float:
    text = config.parameters.get("threshold", str(DEFAULT_THRESHOLD))
    try:
        threshold = float(text)
    except ValueError:
        threshold = -1
    if not 0 <= threshold <= 1:
        raise LoadError(f"model '{config.name}': parameter threshold is {text!r}, not in [0, 1]")
    return threshold
