"""A float32 tensor as one RecordIO frame of a protobuf record, written in place.

    frame    magic, length, record, zeros up to 4 bytes              little endian
    record   features["shape"].int32_tensor, features["target"].float32_tensor

The numbers are the record's last bytes, so the message is a short head before an array that numpy
fills: nothing is copied, and nothing holds the interpreter. The price is that this file writes
protobuf's wire format itself; it is a handful of lengths.

A frame is never split. RecordIO's own writers split a record where the magic stands at a multiple
of 4 bytes; read as a number that is negative, which no probability is.

Sources: dmlc-core's recordio.h; SageMaker's developer guide, "Common data formats", with the
message aialgs.data.Record; protobuf's encoding guide.
"""

import math
import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from server.errors import AnswerTooLarge

MAGIC: Final = 0xCED7230A
LONGEST_RECORD: Final = (1 << 29) - 1

_FRAME: Final = struct.Struct("<II")
_ALIGNED: Final = 4
_DELIMITED: Final = 2  # the wire type of messages, texts and packed numbers

# Field numbers of aialgs.data: Record.features, a map entry's key and value, Value's two tensors,
# and the values of either.
_FEATURES, _KEY, _VALUE, _FLOATS, _INTEGERS, _VALUES = 1, 1, 2, 2, 7, 1


def frame_bytes(shape: Sequence[int]) -> int:
    """The size of the frame of a tensor."""
    return _FRAME.size + _padded(len(_head(shape)) + _float_bytes(shape))


def new_frame(shape: Sequence[int]) -> tuple[memoryview, NDArray[np.float32]]:
    """A frame of a tensor of zeros, and that tensor [*shape], which is the frame's own memory.

    Raises:
        AnswerTooLarge: A frame cannot be that long.
    """
    head, floats = _head(shape), _float_bytes(shape)
    length = len(head) + floats
    if length > LONGEST_RECORD:
        raise AnswerTooLarge(LONGEST_RECORD)
    before = _FRAME.size + len(head)
    skipped = -before % _ALIGNED  # so that the numbers lie aligned in memory
    # numpy's zeros cost nothing until they are written, with the interpreter left to others.
    memory = np.zeros(skipped + _FRAME.size + _padded(length), np.uint8)
    frame = memory.data[skipped:]
    frame[:before] = _FRAME.pack(MAGIC, length) + head
    tensor = memory[skipped + before :][:floats].view("<f4").reshape(shape)
    return frame, tensor


def _head(shape: Sequence[int]) -> bytes:
    """The record up to its numbers: each message opens before what it holds."""
    dimensions = b"".join(map(_varint, shape))
    integers = _field(_VALUE, _field(_INTEGERS, _field(_VALUES, dimensions)))
    shape_entry = _field(_FEATURES, _field(_KEY, b"shape") + integers)
    floats = _float_bytes(shape)
    head = b""
    for number, before in (
        (_VALUES, b""),
        (_FLOATS, b""),
        (_VALUE, _field(_KEY, b"target")),
        (_FEATURES, shape_entry),
    ):
        head = before + _opening(number, len(head) + floats) + head
    return head


def _field(number: int, content: bytes) -> bytes:
    return _opening(number, len(content)) + content


def _opening(number: int, length: int) -> bytes:
    return _varint(number << 3 | _DELIMITED) + _varint(length)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _float_bytes(shape: Sequence[int]) -> int:
    return 4 * math.prod(shape)


def _padded(length: int) -> int:
    return length + -length % _ALIGNED
