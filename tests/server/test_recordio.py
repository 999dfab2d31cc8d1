"""A frame and its record, read back by the format's description; tests/sagemaker has SageMaker's own."""

import struct

import numpy as np
import pytest

from server.errors import AnswerTooLarge
from server.recordio import LONGEST_RECORD, MAGIC, frame_bytes, new_frame

SHAPES = [(1, 1, 1, 1), (1, 2, 3, 5), (1, 3, 127, 129), (1, 21, 300, 200)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_frame_is_as_long_as_it_says_and_as_was_foretold(shape: tuple[int, ...]) -> None:
    frame, _ = new_frame(shape)
    magic, length = struct.unpack_from("<II", frame)
    assert magic == MAGIC
    assert len(frame) == frame_bytes(shape) == 8 + length + -length % 4
    assert bytes(frame[8 + length :]) == bytes(-length % 4)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_tensor_is_the_last_of_the_records_own_bytes(shape: tuple[int, ...]) -> None:
    frame, tensor = new_frame(shape)
    values = np.random.default_rng(0).random(shape, np.float32)
    tensor[...] = values
    (length,) = struct.unpack_from("<I", frame, 4)
    assert bytes(frame[8 : 8 + length]).endswith(values.tobytes())
    assert tensor.flags.aligned


@pytest.mark.parametrize("shape", SHAPES)
def test_each_message_ends_where_the_record_ends(shape: tuple[int, ...]) -> None:
    frame, tensor = new_frame(shape)
    (length,) = struct.unpack_from("<I", frame, 4)
    record = bytes(frame[8 : 8 + length])
    (name, dimensions), (second, floats) = (_entry(entry) for entry in _fields(record))
    assert (name, second) == (b"shape", b"target")
    assert tuple(_varints(_only(_only(dimensions, 7), 1))) == shape
    assert len(_only(_only(floats, 2), 1)) == tensor.nbytes


def test_a_record_that_no_frame_can_hold_is_refused() -> None:
    with pytest.raises(AnswerTooLarge, match=str(LONGEST_RECORD)):
        new_frame((1, 1, 1, 1 << 27))


def _entry(field: tuple[int, bytes]) -> tuple[bytes, bytes]:
    number, content = field
    assert number == 1
    (key, name), (value, message) = _fields(content)
    assert (key, value) == (1, 2)
    return name, message


def _only(message: bytes, number: int) -> bytes:
    ((found, content),) = _fields(message)
    assert found == number
    return content


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """The fields of a message, all of which are delimited; nothing may follow the last."""
    found, at = [], 0
    while at < len(message):
        tag, at = _varint(message, at)
        length, at = _varint(message, at)
        assert tag & 7 == 2
        assert at + length <= len(message)
        found.append((tag >> 3, message[at : at + length]))
        at += length
    return found


def _varints(message: bytes) -> list[int]:
    found, at = [], 0
    while at < len(message):
        value, at = _varint(message, at)
        found.append(value)
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while message[at] & 0x80:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | message[at] << shift, at + 1
