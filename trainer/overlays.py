"""Label maps drawn over pictures, for TensorBoard."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.label_maps import voc_palette

_OPACITY: Final = 0.6
_GAP_PX: Final = 4


def overlay(
    pixels: NDArray[np.uint8],
    label_map: NDArray[np.integer],
    shown: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """RGB pixels[H, W, 3] under the colours of label_map[H, W], where `shown`; id 0 stays black."""
    # Past 255 ids the colours repeat, without the background's.
    ids = np.where(label_map > 255, (label_map.astype(np.int64) - 1) % 255 + 1, label_map)
    mixed = (1 - _OPACITY) * pixels + _OPACITY * voc_palette()[ids]
    if shown is not None:
        mixed = np.where(shown[..., None], mixed, pixels)
    return mixed.astype(np.uint8)


def side_by_side(*pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures [H, W, 3] of one height in a row, with a white gap between them."""
    gap = np.full((len(pictures[0]), _GAP_PX, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)][1:]
    return np.concatenate(parts, axis=1)
