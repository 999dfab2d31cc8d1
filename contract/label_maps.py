"""Label maps: one class id a pixel, resized without mixing ids, and the colours to draw them in.

The server's answer at a picture's own size and the trainer's metrics at a mask's own size are
the same function of the model's label map.
"""

from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

LabelMapT = TypeVar("LabelMapT", bound=NDArray[np.integer[Any]])


def resize_label_map(label_map: LabelMapT, height: int, width: int) -> LabelMapT:
    """Class ids [H, W] -> [height, width], each pixel the id at its centre.

    Source: torch's `nearest-exact`, Pillow's NEAREST.
    """
    if label_map.shape == (height, width):
        return label_map
    rows = ((2 * np.arange(height) + 1) * label_map.shape[0]) // (2 * height)
    columns = ((2 * np.arange(width) + 1) * label_map.shape[1]) // (2 * width)
    return cast(LabelMapT, label_map[rows[:, None], columns])


def voc_palette() -> NDArray[np.uint8]:
    """The 256 RGB colours [256, 3] that Pascal VOC gives to class ids: their bits, interleaved.

    Source: the VOC development kit's VOClabelcolormap.
    """
    ids, bits = np.arange(256)[:, None], np.arange(8)
    colours = np.zeros((256, 3), np.uint8)
    for channel in range(3):
        # Bit 3 k + channel of the id is bit 7 - k of the channel.
        taken = (ids >> (3 * bits + channel)) & 1
        colours[:, channel] = (taken << (7 - bits)).sum(axis=1)
    return colours
