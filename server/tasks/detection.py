"""Object detection: boxes, scores, labels of each query -> the objects above the threshold."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from contract.model_config import ModelConfig
from contract.options import Options
from contract.pictures import Fit, Picture
from server.errors import LoadError
from server.tasks.task import Row

DEFAULT_THRESHOLD = 0.5


class DetectionOptions(Options):
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


class Detection:
    """Answers with `[{"balloon": {"xmin": 293, ...}}, ...]`, EasyMaker's format."""

    fit: ClassVar[Fit] = "pad"
    options: ClassVar[type[Options]] = DetectionOptions
    bare_answer: ClassVar[bool] = False
    media_types: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: ModelConfig, labels: tuple[str, ...]) -> None:
        if not labels:
            raise LoadError(f"model '{config.name}': no output of it has a label_filename")
        self._labels = labels
        self._size = config.inputs[0].dims[0], config.inputs[0].dims[1]
        self._threshold = _threshold(config)

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width of the model's pictures."""
        return self._size

    def prepare(self, picture: Picture) -> Row:
        """The inputs `image`, RGB uint8 [S, S, 3], and `size`, the height and width within it."""
        size = np.array([picture.content_height, picture.content_width], np.int32)
        return {"image": picture.pixels, "size": size}

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
                self._labels[label]: dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
                **({"score": score} if options.scores else {}),
            }
            for label, box, score in zip(labels, corners, scores[kept].tolist(), strict=True)
        ]

    def render(self, media_type: str, outputs: Row, picture: Picture, options: Options) -> bytes:
        """A detection is JSON alone."""
        raise AssertionError(media_type)


def _threshold(config: ModelConfig) -> float:
    text = config.parameters.get("threshold", str(DEFAULT_THRESHOLD))
    try:
        threshold = float(text)
    except ValueError:
        threshold = -1
    if not 0 <= threshold <= 1:
        raise LoadError(f"model '{config.name}': parameter threshold is {text!r}, not in [0, 1]")
    return threshold
