"""Heights and widths: a square's side, or height and width, as they are passed and written down."""

from typing import Final, TypeAlias

PixelSize: TypeAlias = int | tuple[int, int]
"""The side of a square, or height and width, in pixels."""

LARGEST_SIDE: Final = 4096
"""Of what a training picture is brought to: in float32 such a square is 200 MB, of each picture."""


def sides(size: PixelSize) -> tuple[int, int]:
    """Height and width."""
    return (size, size) if isinstance(size, int) else size


def size_text(size: PixelSize) -> str:
    """As a user writes it: 224, or 224x320 for a height of 224."""
    return str(size) if isinstance(size, int) else "x".join(map(str, size))
