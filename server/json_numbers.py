"""Nested or flat lists of a JSON tensor -> numpy, without holding the interpreter for long."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from server.long_arrays import LongArray
from server.turns import in_turns

_KINDS_OF: Final = {"b": "b", "u": "iu", "i": "iu", "f": "iuf"}
_PART_NUMBERS: Final = 1 << 16
_WIDEST: Final = 8  # bytes of a UINT64


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers that become Python's when they are asked for, as those of a protobuf message do."""

    parts: Iterable[Sequence[float]]

    def pieces(self) -> Iterator[list[float]]:
        """The numbers, some ten thousand at a time."""
        for values in self.parts:
            for start in range(0, len(values), _PART_NUMBERS):
                yield list(values[start : start + _PART_NUMBERS])


def numbers_from_json(data: object, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """The numbers of nested or flat lists as a flat array of `dtype`.

    Raises:
        TypeError: A value is not of the datatype's kind.
        ValueError: A value is out of its range, or the lists are of uneven depth.
        OverflowError: A number is beyond what numpy can hold.
    """
    parts = [_numbers(part, dtype) for part in in_turns(_parts(data))]
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


def _parts(data: object) -> Iterator[object]:
    """The lists in parts small enough that numpy does not hold the interpreter for long."""
    if isinstance(data, LongArray | Numbers):
        yield from data.pieces()
    elif not isinstance(data, list):
        yield data
    elif any(isinstance(item, list) and item and isinstance(item[0], list) for item in data[:1]):
        for item in data:
            yield from _parts(item)
    else:
        width = len(data[0]) if data and isinstance(data[0], list) else 1
        step = max(1, _PART_NUMBERS // max(1, width))
        for start in range(0, len(data), step):
            yield data[start : start + step]


def _numbers(part: object, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    values = np.asarray(part)
    if dtype.itemsize == _WIDEST and dtype.kind == "u" and values.dtype.kind == "f":
        values = _whole_numbers(part)
    if values.size and values.dtype.kind not in _KINDS_OF[dtype.kind]:
        raise TypeError(f"values of kind {values.dtype}")
    if dtype.kind in "ui" and values.size:
        _check_range(values, np.iinfo(dtype))
    with np.errstate(over="ignore"):
        cast = values.astype(dtype).reshape(-1)
    if dtype.kind == "f" and np.isinf(cast).sum() > np.isinf(values).sum():
        raise ValueError(f"a value too large for {dtype.name}")
    return cast


def _whole_numbers(part: object) -> NDArray[np.generic]:
    """Whole numbers as uint64, which numpy takes for floats where one is above the largest int64."""
    values = np.asarray(part, np.object_)
    if not all(type(value) is int for value in values.ravel().tolist()):
        raise TypeError("values that are no whole numbers")
    return values.astype(np.uint64)


def _check_range(values: NDArray[Any], info: np.iinfo[Any]) -> None:
    if values.min() < info.min or values.max() > info.max:
        raise ValueError(f"a value outside [{info.min}, {info.max}]")
