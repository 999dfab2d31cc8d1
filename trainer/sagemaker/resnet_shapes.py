"""The depths and input shapes that a job may ask of an Image Classification - MXNet."""

from typing import Annotated, Final

from pydantic import AfterValidator

from contract.options import shown
from trainer.pixel_size import LARGEST_SIDE

LAYERS: Final = (18, 34, 50, 101, 152, 200)
SMALL_IMAGE_LAYERS: Final = (20, 32, 44, 56, 110)
PRETRAINED_LAYERS: Final = (18, 34, 50, 101, 152)

_SMALLEST_SIDE: Final = 4
_MOST_DIGITS: Final = 20  # of a side; Python refuses to read thousands


def _known_depth(num_layers: int) -> int:
    known = sorted(LAYERS + SMALL_IMAGE_LAYERS)
    if num_layers not in known:
        raise ValueError(f"got {num_layers}, expected one of {', '.join(map(str, known))}")
    return num_layers


def _known_shape(text: str) -> str:
    sides = [part.strip() for part in text.split(",")]
    if len(sides) != 3 or not all(map(_is_number, sides)):
        raise ValueError(
            f"got {shown(text)}, expected channels, height and width such as '3,224,224'"
        )
    channels, height, width = map(int, sides)
    usual = all(_SMALLEST_SIDE <= side <= LARGEST_SIDE for side in (height, width))
    if channels not in (1, 3) or not usual:
        raise ValueError(
            f"got {shown(text)}, expected 3 or 1 channels, and a height and width from "
            f"{_SMALLEST_SIDE} to {LARGEST_SIDE}"
        )
    return f"{channels},{height},{width}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS


Depth = Annotated[int, AfterValidator(_known_depth)]
ImageShape = Annotated[str, AfterValidator(_known_shape)]
