"""Logits of a segmenter -> the probabilities of each pixel of a picture, in memory that is given."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BLOCK_PIXELS: Final = 1 << 16
"""Pixels whose sums are held at once, beside the probabilities themselves."""


def fill_probabilities(logits: NDArray[np.float32], probabilities: NDArray[np.float32]) -> None:
    """Softmax over the classes of logits[K, h, w], enlarged, -> probabilities[K, H, W] in [0, 1].

    Enlarging is bilinear, with the pixels' centres kept: at the model's own size the most probable
    class of a pixel is that of its label map. A smaller picture has them averaged. Pillow and
    numpy both leave the interpreter to others meanwhile.
    """
    height, width = probabilities.shape[1:]
    for plane, enlarged in zip(logits, probabilities, strict=True):
        resized = Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)
        enlarged[...] = np.asarray(resized)
    rows = max(1, _BLOCK_PIXELS // width)
    for start in range(0, height, rows):
        block = probabilities[:, start : start + rows]
        block -= block.max(axis=0)
        np.exp(block, out=block)
        block /= block.sum(axis=0)
