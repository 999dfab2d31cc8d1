"""Training pictures cut to the input's size at their own aspect, as MXNet's iterators do.

Goes in: a picture file and its key. Comes out: pixels of the input's size, the middle of the picture
or, where training pictures are changed at random, a part that the seed and the key alone choose.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np

from contract.pictures import Picture, decode_picture, upright_size
from trainer.datasets.dataset import Sample, picture_size


@dataclass(frozen=True, slots=True)
class Crop:
    """A view of a part of each picture.

    Attributes:
        height: Rows of the part in pixels.
        width: Columns of it.
        shortest: The picture's shorter side is brought to so many pixels first; 0 leaves it.
        seed: Chooses the part; None takes the middle.
    """

    height: int
    width: int
    shortest: int = 0
    seed: int | None = None

    def __call__(self, data: bytes, key: int, /) -> Picture:
        """A picture [height, width, 3]; one that is smaller is enlarged just enough."""
        size = upright_size(BytesIO(data)) or (
            self.width,
            self.height,
        )  # decoding says what is wrong
        rows, columns = self._scaled(*size)
        picture = decode_picture(data, rows, columns)
        top, left = self._corner(rows - self.height, columns - self.width, key)
        part = picture.pixels[top : top + self.height, left : left + self.width]
        return Picture(
            np.ascontiguousarray(part), picture.width, picture.height, self.width, self.height
        )

    def _scaled(self, width: int, height: int) -> tuple[int, int]:
        """Rows and columns that a picture is decoded at."""
        scale = self.shortest / min(width, height) if self.shortest else 1.0
        scale = max(scale, self.height / height, self.width / width)
        return max(self.height, round(height * scale)), max(self.width, round(width * scale))

    def _corner(self, spare_rows: int, spare_columns: int, key: int) -> tuple[int, int]:
        if self.seed is None:
            return spare_rows // 2, spare_columns // 2
        random = np.random.default_rng([self.seed, key])
        top, left = random.integers(0, [spare_rows + 1, spare_columns + 1]).tolist()
        return top, left


def smaller_than(samples: Sequence[Sample], height: int, width: int) -> list[str]:
    """A line for each picture that is smaller than a crop, from the files' headers."""
    small = []
    for sample in samples:
        size = picture_size(sample.path)
        if size is not None and (size[0] < width or size[1] < height):
            small.append(
                f"{sample.path}: is {size[0]} x {size[1]} pixels, expected a width of at least "
                f"{width} and a height of at least {height}, which are cropped from it"
            )
    return small
