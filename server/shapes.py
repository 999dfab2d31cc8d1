"""Shapes that requests name, checked before anything is made of them.

A shape costs its sender nothing, so its numbers are bounded by themselves: by numpy's axes, and where
an axis is 0, by what its other axes would make of a graph that drops that one. A shape with numbers in it
is bounded by their bytes.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

from server.errors import RequestError

MOST_AXES: Final = 64
"""Axes that an array of numpy can have."""

MOST_OF_EMPTY: Final = 1 << 26
"""Elements that the axes of an empty tensor make beside those of 0: a body's worth of bytes."""

_SHOWN: Final = 200


def check_shape(name: str, shape: Sequence[Any]) -> tuple[int, ...]:
    """The shape of the input `name`.

    Raises:
        RequestError: It is none, or of no tensor that can be.
    """
    if len(shape) > MOST_AXES:
        raise RequestError(
            f"input '{name}': shape has {len(shape)} axes; expected {MOST_AXES} at most"
        )
    if not all(isinstance(dim, int) and not isinstance(dim, bool) and dim >= 0 for dim in shape):
        shown = str(list(shape))[:_SHOWN]
        raise RequestError(f"input '{name}': shape {shown}; expected a list of sizes >= 0")
    if 0 in shape and math.prod(dim for dim in shape if dim) > MOST_OF_EMPTY:
        raise RequestError(
            f"input '{name}': shape {list(shape)} holds nothing, and its other axes are over "
            f"{MOST_OF_EMPTY} elements, the limit of this server"
        )
    return tuple(shape)
