"""Some fields of an ONNX file, told without opening it in onnxruntime.

A model's file is a protobuf message whose bulk is weights. Only the fields that lead to what is looked
for are read; all others are passed over by their length, so a file of gigabytes costs as little as
one of few nodes. The file is read, not mapped: one that becomes shorter meanwhile would end the
process.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

import os
from collections import deque
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final

MOST_FIELDS: Final = 1 << 20
"""Fields that are looked at, which takes about a second; a graph has some ten for each node."""

_BYTES: Final = 2
"""The kind of a field that has a length: text, bytes, a message."""

_FIXED_BYTES: Final[Mapping[int, int]] = {1: 8, 5: 4}
_MOST_VARINT_BYTES: Final = 10


def values_of(
    file: BinaryIO, leading: Mapping[str, Mapping[int, str]], longest: int
) -> Iterator[bytes]:
    """The values that the fields `leading` lead to, in about the order of the file.

    Args:
        file: The message that `leading` names first.
        leading: The fields that lead to them, by their numbers, of each message; a name that is none
            of these is a value that is looked for.
        longest: The most bytes of such a value.

    Raises:
        LookupError, ValueError: It is no protobuf message, or has too many fields, or a value is
            too long.
    """
    fields = 0
    size = file.seek(0, os.SEEK_END)
    left: deque[tuple[int, int, str]] = deque([(0, size, next(iter(leading)))])
    while left:
        start, end, message = left.popleft()
        file.seek(start)
        if message not in leading:
            if end - start > longest:
                raise ValueError("a value is too long")
            yield file.read(end - start)
            continue
        while start < end:
            if (fields := fields + 1) > MOST_FIELDS:
                raise ValueError("too many fields")
            tag, size = _varint(file)
            begin = start + size
            length, size = _length(file, tag & 7)
            begin, start = begin + size, begin + size + length
            if not tag >> 3 or start > end:  # a file of zeros is nothing but fields of number 0
                raise ValueError("no field, or one that ends behind its message")
            inner = leading[message].get(tag >> 3)
            if tag & 7 == _BYTES and inner is not None:
                left.append((begin, start, inner))
            file.seek(length, os.SEEK_CUR)


def _length(file: BinaryIO, kind: int) -> tuple[int, int]:
    """The bytes that a field's value has yet, and how many were read to tell that."""
    if kind == _BYTES:
        return _varint(file)
    if kind == 0:
        return 0, _varint(file)[1]
    return _FIXED_BYTES[kind], 0


def _varint(file: BinaryIO) -> tuple[int, int]:
    """A number in as many bytes as it needs, and how many these are."""
    number = 0
    for i in range(_MOST_VARINT_BYTES):
        byte = file.read(1)[0]  # IndexError at the end
        number |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return number, i + 1
    raise ValueError("a number is too long")
