"""Strings of a JSON text: where they end; and long ones, read in pieces.

A parser makes a whole string at once and holds the interpreter meanwhile: for a picture of tens of
megabytes that is long enough that health is not answered in time. So long strings are cut out of
the text first, as long arrays are, and a piece of them at a time becomes Python's text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import orjson

from server.errors import RequestError

LONG: Final = 1 << 16
"""Bytes of text from which a string is cut out."""

_PIECE: Final = 1 << 16
_STEP: Final = 1 << 20
_LONGEST_ESCAPE: Final = 12  # a pair of surrogates
_IN_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_WHOLE: Final = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89abAB])[^\\]{4}|\\u[dD][89abAB][^\\]{2}\\u[^\\]{4})*+",
    re.DOTALL,
)
"""Text and escapes, none of them cut off, nor a pair of surrogates between its two."""


@dataclass(frozen=True, slots=True)
class LongString:
    """A string in a JSON text.

    Attributes:
        text: The text.
        start: Where the string begins, behind its quote.
        stop: Where it has ended, before its quote.
    """

    text: bytes = field(repr=False)
    start: int
    stop: int

    def __len__(self) -> int:
        """Its bytes in the text."""
        return self.stop - self.start

    def pieces(self) -> Iterator[str]:
        """What it says, some ten thousand characters at a time.

        Raises:
            RequestError: It is no JSON.
        """
        at = self.start
        while at < self.stop:
            end = self._end_of_piece(at)
            try:
                piece: str = orjson.loads(b'"%b"' % self.text[at:end])
            except orjson.JSONDecodeError as err:
                reason = str(err).partition(":")[0]
                raise RequestError(
                    f"failed to parse the request JSON buffer: {reason}, in the string at byte {at}"
                ) from err
            yield piece
            at = end

    def encoded(self) -> bytes:
        """What it says, in UTF-8.

        Raises:
            RequestError: It is no JSON.
        """
        return b"".join([piece.encode() for piece in self.pieces()])

    def _end_of_piece(self, start: int) -> int:
        """Where a piece ends: between two characters; behind what is none, if it begins there."""
        end = min(self.stop, start + _PIECE)
        if self.text.find(b"\\", start, end) >= 0:
            whole = _WHOLE.match(self.text, start, end)
            end = whole.end() if whole else start
        while end < self.stop and end > start and self.text[end] & 0xC0 == 0x80:  # within UTF-8
            end -= 1
        return end if end > start else min(self.stop, start + _LONGEST_ESCAPE)


def end_of_string(text: bytes, start: int) -> int:
    """The place behind the string that begins at `start`; the text's end if it does not end."""
    at = start + 1
    quote = find(text, b'"', at, len(text))
    if quote < 0:
        return len(text)
    if text[quote - 1] != ord("\\"):
        return quote + 1
    while at < len(text):
        inside = _IN_STRING.match(text, at, at + _PIECE)
        end = inside.end() if inside else at
        if end < len(text) and text[end] == ord('"'):
            return end + 1
        if end == at:  # a backslash is the last of the text
            break
        at = end
    return len(text)


def find(text: bytes, byte: bytes, start: int, stop: int) -> int:
    """Where a byte is first found, or -1, in steps that hold the interpreter shortly."""
    for at in range(start, stop, _STEP):
        if (found := text.find(byte, at, min(stop, at + _STEP))) >= 0:
            return found
    return -1


def count(text: bytes, byte: bytes, start: int, stop: int) -> int:
    """How often a byte is found, in such steps."""
    steps = range(start, stop, _STEP)
    return sum(text.count(byte, at, min(stop, at + _STEP)) for at in steps)
