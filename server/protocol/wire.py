"""The bytes of a gRPC infer message -> its raw tensors, as they lie there, and the message without them.

Protobuf copies raw tensors twice, once to read a message and once to hand them out, and holds the
interpreter meanwhile: of tens of megabytes that is long enough that health is not answered in time.

Source: https://protobuf.dev/programming-guides/encoding
"""

from typing import Final

from google.protobuf.message import DecodeError

from server.errors import TooMany

MOST_FIELDS: Final = 1 << 14
"""Fields of a message, beside those within its fields."""

_RAW: Final = 7 << 3 | 2
"""The tag of raw_input_contents in oip.proto."""

_LONGEST_VARINT: Final = 10


def split_raw(wire: bytes) -> tuple[bytes, list[memoryview]]:
    """The message without raw_input_contents, and those.

    Raises:
        DecodeError: The bytes are no message.
        TooMany: It has more than MOST_FIELDS.
    """
    view = memoryview(wire)
    kept: list[memoryview] = []
    raw: list[memoryview] = []
    at = done = fields = 0
    while at < len(wire):
        start = at
        tag, at = _varint(wire, at)
        value, at = _value(wire, at, tag & 7)
        if tag == _RAW:
            kept.append(view[done:start])
            raw.append(view[value:at])
            done = at
        fields += 1
        if fields > MOST_FIELDS:
            raise TooMany("fields or more", fields, MOST_FIELDS)
    return b"".join([*kept, view[done:]]) if raw else wire, raw


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
    value = 0
    for index, byte in enumerate(wire[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise DecodeError("a number without an end")
