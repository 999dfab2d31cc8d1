"""RecordIO files -> where each record lies in them; a record's bytes when they are asked for.

The frames are DMLC's, little endian, each at a multiple of 4 bytes:

    uint32 magic 0xCED7230A | uint32 flag << 29 | length | length bytes | zeros to 4 bytes

Flag 0 is a whole record; 1, 2 and 3 are the first, a middle and the last part of one that holds the
magic at a multiple of 4 bytes: the writer cuts it out there, and here it is put back between the
parts. Listing a file costs one pass over the heads of its frames, no payload is read for it, and
what is kept of a record are a few numbers. Reading a record opens the file again, so that records
can be sent to other processes.

Source: https://github.com/dmlc/dmlc-core/blob/main/include/dmlc/recordio.h
"""

import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from trainer.errors import DatasetError

MAGIC: Final = struct.pack("<I", 0xCED7230A)
LARGEST_BYTES: Final = (1 << 29) - 1
"""Of one record: what the length of a frame can say."""

_HEAD: Final = struct.Struct("<4sI")
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_STARTS: Final = (_WHOLE, _FIRST)
_ENDS: Final = (_WHOLE, _LAST)


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file, without the first `skipped` bytes.

    Attributes:
        path: The file.
        number: The record's place in the file, from 0.
        parts: Offset and length in bytes of each of its parts in the file.
        skipped: Bytes before what `read_bytes` gives, such as a header of labels.
    """

    path: Path
    number: int
    parts: tuple[tuple[int, int], ...]
    skipped: int = 0

    @property
    def name(self) -> str:
        """Such as train.rec#12."""
        return f"{self.path.name}#{self.number}"

    @property
    def size(self) -> int:
        """Bytes of what `read_bytes` gives."""
        inside = len(MAGIC) * (len(self.parts) - 1)
        return sum(length for _, length in self.parts) + inside - self.skipped

    def __str__(self) -> str:
        return f"{self.path} record {self.number}"

    def read_bytes(self) -> bytes:
        """The record's content.

        Raises:
            OSError: The file cannot be read, or is shorter than it was.
        """
        return self.read_first(self.size)

    def read_first(self, count: int) -> bytes:
        """Up to `count` bytes of the record's content, from its start.

        Raises:
            OSError: As `read_bytes`.
        """
        with self.path.open("rb", buffering=0) as file:
            return self._first(file.fileno(), count)

    def _first(self, descriptor: int, count: int) -> bytes:
        missing, pieces = self.skipped + count, []
        for offset, length in self.parts:
            wanted = min(length, max(missing, 0))
            piece = os.pread(descriptor, wanted, offset)
            if len(piece) < wanted:
                raise OSError(errno.EIO, "the file has become shorter since it was listed")
            pieces.append(piece)
            if missing <= length:
                break
            missing -= length + len(MAGIC)
        return MAGIC.join(pieces)[self.skipped : self.skipped + count]

    def after(self, count: int) -> "Record":
        """The same record without `count` more bytes at its start."""
        return replace(self, skipped=self.skipped + count)


def read_records(path: Path, head_bytes: int = 0) -> Iterator[tuple[Record, bytes]]:
    """The records of a file in its order, each with the first `head_bytes` of its content.

    Raises:
        DatasetError: The file cannot be read, is empty, is no RecordIO file, or ends inside a record.
    """
    try:
        with path.open("rb", buffering=0) as file:
            for record in _records(path, file.fileno()):
                yield record, record._first(file.fileno(), head_bytes) if head_bytes else b""
    except OSError as err:
        raise DatasetError(f"{path}: cannot be read: {err.strerror}") from err


def _records(path: Path, descriptor: int) -> Iterator[Record]:
    end = os.fstat(descriptor).st_size
    if end == 0:
        raise DatasetError(f"{path}: is empty; {_EXPECTED}")
    parts: list[tuple[int, int]] = []
    at = number = 0
    while at < end:
        flag, length = _head(path, descriptor, at, number)
        if (flag in _STARTS) == bool(parts):
            told = "begins inside another" if parts else "has a later part without its first"
            raise _fault(path, at, f"record {number} {told}; the file is damaged")
        parts.append((at + _HEAD.size, length))
        at += _HEAD.size + length + -length % 4
        if at > end:
            raise _fault(path, parts[-1][0], f"record {number} needs {at - end} bytes more; {_CUT}")
        if flag in _ENDS:
            yield _checked(Record(path, number, tuple(parts)))
            parts, number = [], number + 1
    if parts:
        raise _fault(path, at, f"record {number} lacks its last part; {_CUT}")


_EXPECTED: Final = "expected a RecordIO file, as MXNet's im2rec writes"
_CUT: Final = "the file is cut short, copy it again"


def _head(path: Path, descriptor: int, at: int, number: int) -> tuple[int, int]:
    """Flag and length of the frame at a byte."""
    data = os.pread(descriptor, _HEAD.size, at)
    if not MAGIC.startswith(data[:4]):
        advice = _EXPECTED if at == 0 else "it is damaged"
        raise _fault(path, at, f"got the bytes {data[:4].hex()} instead of {MAGIC.hex()}; {advice}")
    if len(data) < _HEAD.size:
        raise _fault(path, at, f"the head of record {number} is incomplete; {_CUT}")
    word: int = _HEAD.unpack(data)[1]
    flag, length = word >> 29, word & LARGEST_BYTES
    if flag > _LAST:
        raise _fault(path, at, f"flag {flag} in record {number}; expected 0 to {_LAST}")
    return flag, length


def _checked(record: Record) -> Record:
    """The record, unless it is longer than the format allows."""
    if record.size > LARGEST_BYTES:
        raise DatasetError(f"{record}: is of {record.size} bytes; at most {LARGEST_BYTES} are read")
    return record


def _fault(path: Path, at: int, text: str) -> DatasetError:
    return DatasetError(f"{path}: at byte {at}: {text}")
