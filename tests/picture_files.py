"""Picture files for tests, drawn or from scikit-learn."""

import base64
import io
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    """The bytes of a picture file."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def noise(seed: int, width: int = 8, height: int = 8) -> NDArray[np.uint8]:
    """Random pixels [height, width, 3] around a random colour, so that means differ."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 200, 3)
    return (base + rng.integers(0, 56, (height, width, 3))).astype(np.uint8)


def noise_png(seed: int, width: int = 8, height: int = 8) -> bytes:
    """`noise` as a PNG file."""
    return encode(Image.fromarray(noise(seed, width, height)))


def as_text(data: bytes) -> str:
    """Base64 text."""
    return base64.b64encode(data).decode()


def instances(*files: bytes) -> dict[str, list[dict[str, str]]]:
    """A V1 request body."""
    return {"instances": [{"data": as_text(data)} for data in files]}


@cache
def china_jpeg() -> bytes:
    """scikit-learn's photograph china.jpg, 640 x 427, as the file it is."""
    return files("sklearn.datasets.images").joinpath("china.jpg").read_bytes()
