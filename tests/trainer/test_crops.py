"""Parts of training pictures: where they lie, at what scale, and which pictures are too small."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from trainer.crops import Crop, smaller_than
from trainer.datasets.dataset import Sample


def coordinates(height: int, width: int) -> NDArray[np.uint8]:
    """A picture each of whose pixels says its row and column."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([rows, columns, np.zeros_like(rows)], axis=-1)


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_middle_is_cut_without_a_seed() -> None:
    picture = Crop(8, 12)(png(coordinates(20, 30)), 0)
    assert np.array_equal(picture.pixels, coordinates(20, 30)[6:14, 9:21])


def test_parts_lie_anywhere_and_depend_on_seed_and_key_alone() -> None:
    data, crop = png(coordinates(10, 11)), Crop(8, 8, seed=7)
    corners = {tuple(crop(data, key).pixels[0, 0, :2].tolist()) for key in range(200)}
    assert corners == {(top, left) for top in range(3) for left in range(4)}
    assert np.array_equal(crop(data, 5).pixels, Crop(8, 8, seed=7)(data, 5).pixels)


@pytest.mark.parametrize(("height", "width"), [(20, 40), (40, 20)])
def test_shorter_side_is_resized_first(height: int, width: int) -> None:
    """A step of a resized pixel is two of the picture's."""
    part = Crop(8, 8, shortest=10)(png(coordinates(height, width)), 0).pixels.astype(int)
    assert part.shape == (8, 8, 3)
    assert np.allclose(np.diff(part[..., 0], axis=0), 2, atol=1)
    assert np.allclose(np.diff(part[..., 1], axis=1), 2, atol=1)
    middle = part[..., :2].mean(axis=(0, 1))
    assert middle == pytest.approx([(height - 1) / 2, (width - 1) / 2], abs=1)


def test_too_small_training_pictures_are_listed(tmp_path: Path) -> None:
    paths = []
    for height, width in ((8, 12), (7, 12), (8, 11), (30, 30)):
        paths.append(tmp_path / f"{height}x{width}.png")
        paths[-1].write_bytes(png(coordinates(height, width)))
    samples = tuple(Sample(path, 0) for path in paths)
    short, narrow = smaller_than(samples, 8, 12)
    assert short.startswith(f"{paths[1]}: is 12 x 7 pixels, expected a width of at least 12 and")
    assert narrow.startswith(f"{paths[2]}: is 11 x 8 pixels")
