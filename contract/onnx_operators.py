"""The operators of an ONNX file's graph, told without opening it in onnxruntime.

A model's file is a protobuf message whose bulk is weights. Only the fields that lead to a node's
`op_type` are read, of the graph, of graphs within its nodes and of its functions; all others are
passed over by their length, so a file of gigabytes costs as little as one of few nodes. What is no
such message has the operators that were found up to there; onnxruntime says what is wrong with it.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

import mmap
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias

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


def read_operators(path: Path) -> frozenset[str]:
    """The types of all operators in the file's graph, such as Conv.

    Raises:
        OSError: The file cannot be read.
    """
    found: set[str] = set()
    if not path.stat().st_size:  # which cannot be mapped
        return frozenset()
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        suppress(LookupError, ValueError),
    ):
        _collect(data, found)
    return frozenset(found)


def _collect(data: mmap.mmap, found: set[str]) -> None:
    """Add the operators to `found`.

    Raises:
        LookupError, ValueError: It is no protobuf message.
    """
    left: list[tuple[int, int, _Message]] = [(0, len(data), "model")]
    while left:
        start, end, message = left.pop()
        if message == "op_type":
            found.add(data[start:end].decode())
            continue
        leading = _FIELDS[message]
        while start < end:
            tag, start = _varint(data, start)
            begin, start = _value(data, start, tag & 7)
            if start > end:
                raise ValueError("a field ends behind its message")
            if tag & 7 == _BYTES and (inner := leading.get(tag >> 3)) is not None:
                left.append((begin, start, inner))


def _value(data: mmap.mmap, start: int, kind: int) -> tuple[int, int]:
    """Where the value of a field begins and ends, whose tag ends at `start`."""
    if kind == _BYTES:
        length, begin = _varint(data, start)
        return begin, begin + length
    if kind == 0:
        return start, _varint(data, start)[1]
    return start, start + _FIXED_BYTES[kind]


def _varint(data: mmap.mmap, start: int) -> tuple[int, int]:
    """A number in as many bytes as it needs, and where it ends."""
    number = 0
    for i in range(_MOST_VARINT_BYTES):
        byte = data[start + i]
        number |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return number, start + i + 1
    raise ValueError("a number is too long")
