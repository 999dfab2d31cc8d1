"""Boxes drawn over pictures, for TensorBoard."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from contract.pictures import decode_picture
from trainer.datasets.coco_objects import objects_of
from trainer.datasets.dataset import Sample
from trainer.tasks.task import Outputs

_SIDE_PX: Final = 512
_SHOWN_SCORE: Final = 0.5
_COLOURS: Final = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#f032e6")


def draw_boxes(outputs: Outputs, sample: Sample, labels: Sequence[str]) -> NDArray[np.uint8]:
    """RGB [S, 2 S, 3]: at the left what was found of a score above 0.5, at the right the truth.

    Args:
        outputs: boxes[1, Q, 4] in [0, 1], scores[1, Q] and labels[1, Q].
        sample: The picture and its objects.
        labels: The class names.
    """
    picture = decode_picture(sample.path.read_bytes(), _SIDE_PX, _SIDE_PX, fit="pad")
    extent = np.array([picture.content_width, picture.content_height] * 2, np.float64)
    objects = objects_of(sample)
    shown = outputs["scores"][0] > _SHOWN_SCORE
    found = [
        (f"{labels[label]} {score:.2f}", label, box * extent)
        for box, score, label in zip(
            outputs["boxes"][0][shown],
            outputs["scores"][0][shown].tolist(),
            outputs["labels"][0][shown].tolist(),
            strict=True,
        )
    ]
    own = np.array([objects.width, objects.height] * 2, np.float64)
    truth = [
        (labels[one.label], one.label, np.array(one.box_xyxy_px) / own * extent)
        for one in objects.instances
    ]
    return np.concatenate([_drawn(picture.pixels, found), _drawn(picture.pixels, truth)], axis=1)


def _drawn(
    pixels: NDArray[np.uint8], boxes: Iterable[tuple[str, int, NDArray[np.float64]]]
) -> NDArray[np.uint8]:
    """The pixels [S, S, 3] under captioned boxes, xyxy in pixels."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    for caption, label, box in boxes:
        left, top, right, bottom = box.tolist()
        colour = _COLOURS[label % len(_COLOURS)]
        draw.rectangle((left, top, right, bottom), outline=colour, width=2)
        draw.text((left + 3, top + 2), caption, fill=colour)
    return np.asarray(image)
