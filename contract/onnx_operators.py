"""The operators of an ONNX file's graph, told without opening it in onnxruntime.

A model's file is a protobuf message whose bulk is weights. Only the fields that lead to a node's
`op_type` are read, of the graph, of graphs within its nodes and of its functions; all others are
passed over by their length, so a file of gigabytes costs as little as one of few nodes. What is no
such message, or has more than MOST_FIELDS fields, has the operators that were found up to there;
onnxruntime says what is wrong with it. The file is read, not mapped: one that becomes shorter
meanwhile would end the process.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeAlias

MOST_FIELDS: Final = 1 << 20
"""Fields that are looked at, which takes about a second; a graph has some ten for each node."""

_Message: TypeAlias = Literal["model", "graph", "node", "attribute", "function", "op_type"]

_FIELDS: Final[Mapping[_Message, Mapping[int, _Message]]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node"},
    "node": {4: "op_type", 5: "attribute"},
    "attribute": {6: "graph", 11: "graph"},
    "function": {7: "node"},
}
"""The fields that lead to operators, by their numbers, of each message."""

_BYTES: Final = 2
"""The kind of a field that has a length: text, bytes, a message."""

_FIXED_BYTES: Final[Mapping[int, int]] = {1: 8, 5: 4}
_MOST_VARINT_BYTES: Final = 10
_LONGEST_NAME: Final = 1024  # bytes of an operator's type


def read_operators(path: Path) -> frozenset[str]:
    """The types of all operators in the file's graph, such as Conv.

    Raises:
        OSError: The file cannot be read.
    """
    found: set[str] = set()
    with path.open("rb") as file, suppress(LookupError, ValueError):
        _collect(file, found)
    return frozenset(found)


def _collect(file: BinaryIO, found: set[str]) -> None:
    """Add the operators to `found`.

    Raises:
        LookupError, ValueError: It is no protobuf message, or has too many fields.
    """
    fields = 0
    left: deque[tuple[int, int, _Message]] = deque([(0, os.fstat(file.fileno()).st_size, "model")])
    while left:
        start, end, message = left.popleft()  # in about the order of the file
        file.seek(start)
        if message == "op_type":
            found.add(_name(file, end - start))
            continue
        leading = _FIELDS[message]
        while start < end:
            if (fields := fields + 1) > MOST_FIELDS:
                raise ValueError("too many fields")
            tag, size = _varint(file)
            begin = start + size
            length, size = _length(file, tag & 7)
            begin, start = begin + size, begin + size + length
            if not tag >> 3 or start > end:  # a file of zeros is nothing but fields of number 0
                raise ValueError("no field, or one that ends behind its message")
            if tag & 7 == _BYTES and (inner := leading.get(tag >> 3)) is not None:
                left.append((begin, start, inner))
            file.seek(length, os.SEEK_CUR)


def _name(file: BinaryIO, length: int) -> str:
    if length > _LONGEST_NAME:
        raise ValueError("no name of an operator")
    return file.read(length).decode()


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
