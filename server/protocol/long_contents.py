"""The `contents` of an input in a large gRPC message, read in pieces.

Protobuf makes a value of each byte of some fields, and holds the interpreter for all of them. So a
piece of them at a time is made a message of its own, of some ten thousand values.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from google.protobuf.message import DecodeError

from server.bytes_elements import MOST_ELEMENTS
from server.errors import RequestError, TooMany
from server.protocol import oip_pb2 as oip
from server.protocol.wire import Span, fields_of, length_prefixed

Values = Sequence[float] | Sequence[bytes]

_PIECE: Final = 1 << 16  # bytes; a multiple of the fixed widths
_COPIED: Final = 1 << 20
_GROUP: Final = 1 << 14
_BYTES: Final = 8
"""The number of bytes_contents in oip.proto."""

_FIXED: Final = (6, 7)
"""Those of fp32_contents and fp64_contents; the others' values end at their first byte below 128."""

_NAMES: Final = {field.number: field.name for field in oip.InferTensorContents.DESCRIPTOR.fields}


class LongContents:
    """The contents of an input.

    Args:
        wire: The message.
        spans: Where they lie in it, in one part or several.
    """

    def __init__(self, wire: bytes, spans: Sequence[Span]) -> None:
        self._wire = wire
        self._spans = spans

    def pieces(self) -> Iterator[tuple[str, Values]]:
        """Some values at a time, and the name of their field.

        Raises:
            RequestError: They are no contents.
            TooMany: They have more than MOST_ELEMENTS fields.
        """
        try:
            for start, stop in self._spans:
                yield from self._pieces(start, stop)
        except DecodeError as err:
            raise RequestError(
                f"the contents of an input are not those of a message: {err}"
            ) from err

    def _pieces(self, begin: int, stop: int) -> Iterator[tuple[str, Values]]:
        grouped = 0
        fields = fields_of(self._wire, begin, stop)
        for count, (tag, start, value, end) in enumerate(fields, 1):
            if count > MOST_ELEMENTS:
                raise TooMany("values or more in an input", count, MOST_ELEMENTS)
            if grouped and (start - begin > _PIECE or grouped >= _GROUP or end - start > _PIECE):
                yield from self._read(self._wire[begin:start])
                begin, grouped = start, 0
            if end - start > _PIECE:
                yield from self._long_field(tag, value, end)
                begin = end
            else:
                grouped += 1
        if begin < stop:
            yield from self._read(self._wire[begin:stop])

    def _long_field(self, tag: int, start: int, stop: int) -> Iterator[tuple[str, Values]]:
        """A field of many values, or one long string."""
        number = tag >> 3
        if number not in _NAMES:
            return
        if number == _BYTES:
            parts = range(start, stop, _COPIED)
            yield (
                _NAMES[number],
                [b"".join([self._wire[at : min(stop, at + _COPIED)] for at in parts])],
            )
            return
        while start < stop:
            end = self._end_of_values(start, stop, fixed=number in _FIXED)
            yield from self._read(length_prefixed(tag, self._wire[start:end]))
            start = end

    def _end_of_values(self, start: int, stop: int, *, fixed: bool) -> int:
        """Where a piece of packed values ends."""
        end = min(stop, start + _PIECE)
        while not fixed and end < stop and self._wire[end - 1] & 0x80:
            end += 1
        return end

    def _read(self, message: bytes) -> Iterator[tuple[str, Values]]:
        contents = oip.InferTensorContents.FromString(message)
        for field, values in contents.ListFields():
            yield field.name, values
