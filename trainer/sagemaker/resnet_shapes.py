"""The depths and input shapes that a job may ask of an Image Classification - MXNet."""

from typing import Annotated, Final

from pydantic import AfterValidator

LAYERS: Final = (18, 34, 50, 101, 152, 200)
SMALL_IMAGE_LAYERS: Final = (20, 32, 44, 56, 110)
PRETRAINED_LAYERS: Final = (18, 34, 50, 101, 152)

_SMALLEST_SIDE: Final = 4


def _known_depth(num_layers: int) -> int:
    known = sorted(LAYERS + SMALL_IMAGE_LAYERS)
    if num_layers not in known:
        raise ValueError(f"got {num_layers}, expected one of {', '.join(map(str, known))}")
    return num_layers


def _known_shape(text: str) -> str:
    sides = [part.strip() for part in text.split(",")]
    if len(sides) != 3 or not all(side.isascii() and side.isdecimal() for side in sides):
        raise ValueError(f"got {text!r}, expected channels, height and width such as '3,224,224'")
    channels, height, width = map(int, sides)
    if channels not in (1, 3) or min(height, width) < _SMALLEST_SIDE:
        raise ValueError(
            f"got {text!r}, expected 3 or 1 channels, and a height and width of at least "
            f"{_SMALLEST_SIDE}"
        )
    return f"{channels},{height},{width}"


Depth = Annotated[int, AfterValidator(_known_depth)]
ImageShape = Annotated[str, AfterValidator(_known_shape)]
