"""Heights and widths: a square's side, or height and width, as they are passed and written down."""

from typing import TypeAlias

PixelSize: TypeAlias = int | tuple[int, int]
"""The side of a square, or height and width, in pixels."""


def sides(size: PixelSize) -> tuple[int, int]:
    """Height and width."""
    return (size, size) if isinstance(size, int) else size


def size_text(size: PixelSize) -> str:
    """As a user writes it: 224, or 224x320 for a height of 224."""
    return str(size) if isinstance(size, int) else "x".join(map(str, size))
