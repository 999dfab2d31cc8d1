"""The bytes of a gRPC infer message -> its tensors, as they lie there, and the message without them.

Protobuf copies raw tensors twice, once to read a message and once to hand them out, makes a number
or an object of each value of `contents`, and holds the interpreter meanwhile: of tens of megabytes
that is long enough that health is not answered in time.

Source: https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError

from server.errors import TooMany

MOST_FIELDS: Final = 1 << 14
"""Fields of a message, and of the tensors in it whose contents are split off."""

LARGE: Final = 1 << 18
"""Bytes of a message from which contents are split off."""

MOST_REST: Final = 1 << 20
"""Bytes of a message without its tensors: names, shapes and parameters."""

_INPUT: Final = 5 << 3 | 2
"""The tag of inputs in oip.proto."""

_CONTENTS: Final = 5 << 3 | 2
"""The tag of contents in an input."""

_RAW: Final = 7 << 3 | 2
"""The tag of raw_input_contents."""

_LONGEST_VARINT: Final = 10
_MOST_NUMBER: Final = (1 << 29) - 1  # that a field may have; the least is 1

Span = tuple[int, int]
"""From where to where a message within the message lies."""


@dataclass(frozen=True, slots=True)
class Split:
    """A message taken apart.

    Attributes:
        rest: The message without what follows.
        raw: Its raw_input_contents.
        contents: Where the contents of its inputs lie, by the input's index; empty in `rest`.
    """

    rest: bytes
    raw: list[memoryview]
    contents: Mapping[int, list[Span]] = field(default_factory=dict)


def split_raw(wire: bytes) -> Split:
    """The message without its tensors, and those.

    Raises:
        DecodeError: The bytes are no message.
        TooMany: It has more than MOST_FIELDS, or MOST_REST bytes that are no tensor.
    """
    view = memoryview(wire)
    kept: list[memoryview | bytes] = []
    raw: list[memoryview] = []
    contents: dict[int, list[Span]] = {}
    done = fields = inputs = 0
    for tag, start, value, end in fields_of(wire, 0, len(wire)):
        fields += 1
        if tag == _RAW:
            kept.append(view[done:start])
            raw.append(view[value:end])
            done = end
        elif tag == _INPUT:
            within = list(_input_fields(wire, value, end)) if len(wire) > LARGE else []
            fields += len(within)
            if spans := [span for tag, span in within if tag == _CONTENTS]:
                contents[inputs] = spans
                kept += [view[done:start], _without_contents(wire, within)]
                done = end
            inputs += 1
        if fields > MOST_FIELDS:
            raise TooMany("fields or more", fields, MOST_FIELDS)
    rest = b"".join([*kept, view[done:]]) if kept else wire
    if len(rest) > MOST_REST and len(wire) > LARGE:
        raise TooMany("bytes beside its tensors", len(rest), MOST_REST)
    return Split(rest, raw, contents)


def fields_of(wire: bytes, at: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message within `wire`: the tag, where it, its value, and where that ends.

    Raises:
        DecodeError: The bytes are no message.
    """
    while at < stop:
        start = at
        tag, at = _varint(wire, at)
        if not 1 <= tag >> 3 <= _MOST_NUMBER:
            raise DecodeError(f"field number {tag >> 3}")
        value, at = _value(wire, at, tag & 7)
        if at > stop:
            raise DecodeError("cut off")
        yield tag, start, value, at


def length_prefixed(tag: int, value: bytes) -> bytes:
    """A field of bytes, or of a message, whose tag is one byte."""
    return prefix(tag, len(value)) + value


def prefix(tag: int, size: int) -> bytes:
    """What stands before the `size` bytes of such a field."""
    length = bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return b"%c%b%c" % (tag, bytes(length), size)


def _input_fields(wire: bytes, start: int, stop: int) -> Iterator[tuple[int, Span]]:
    """The tags of an input's fields, and where its contents, or any other field whole, lie."""
    for count, (tag, at, value, end) in enumerate(fields_of(wire, start, stop)):
        if count >= MOST_FIELDS:
            raise TooMany("fields or more", count, MOST_FIELDS)
        yield tag, (value if tag == _CONTENTS else at, end)


def _without_contents(wire: bytes, fields: Sequence[tuple[int, Span]]) -> bytes:
    """The field of an input with empty contents, so that it is known to have some."""
    others = [wire[start:end] for tag, (start, end) in fields if tag != _CONTENTS]
    return length_prefixed(_INPUT, b"".join([*others, length_prefixed(_CONTENTS, b"")]))


def _value(wire: bytes, at: int, kind: int) -> tuple[int, int]:
    """Where the value of a field begins and ends, whose tag ends at `at`."""
    start = at
    match kind:
        case 0:  # a number
            _, end = _varint(wire, at)
        case 1:
            end = at + 8
        case 2:  # bytes, a string, a message
            size, start = _varint(wire, at)
            end = start + size
        case 5:
            end = at + 4
        case _:
            raise DecodeError(f"wire type {kind}")
    if end > len(wire):
        raise DecodeError("cut off")
    return start, end


def _varint(wire: bytes, at: int) -> tuple[int, int]:
    """A number at `at`, and where it ends."""
    if at < len(wire) and wire[at] < 0x80:  # as most are
        return wire[at], at + 1
    value = 0
    for index, byte in enumerate(wire[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise DecodeError("a number without an end")
