"""Long arrays of numbers in a JSON text, read in pieces.

A parser makes a Python object of each number and holds the interpreter for all of them: for tens
of megabytes that is long enough that health is not answered in time. So such arrays are cut out of
the text first, and a piece of them at a time is parsed and becomes numpy's numbers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import orjson

from server.errors import RequestError
from server.long_strings import count, find

LONG: Final = 1 << 16
"""Bytes of text from which an array is cut out."""

_PIECE: Final = 1 << 16
_LONGEST_PIECE: Final = 1 << 20
_START: Final = re.compile(rb"\s*:\s*(?=\[)")
_END: Final = re.compile(rb"\]\s*,?\s*\Z")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]"))
_SPACES: Final = bytes.maketrans(b"[]", b"  ")
_MISPLACED: Final = re.compile(rb"[^\[,\s]\s*\[|\[\s*[,\]]|,\s*\]|\]\s*[^\],\s]")
"""A bracket where no list of lists has one; an empty list, which holds no number, too."""


@dataclass(frozen=True, slots=True)
class LongArray:
    """A list of numbers, or of lists, in a JSON text: from its first bracket to its last.

    Attributes:
        text: The text.
        start: Where the list begins.
        stop: Where it has ended.
        max_depth: How deep it may nest.
    """

    text: bytes = field(repr=False)
    start: int
    stop: int
    max_depth: int

    def pieces(self) -> Iterator[list[object]]:
        """Its numbers in their order, some ten thousand at a time; nested lists become one.

        Raises:
            RequestError: It is no JSON, or nests too deep.
        """
        depth = 0
        at = self.start
        while at < self.stop:
            end = self._end_of_piece(at)
            piece = self.text[at:end]
            depth = self._check_brackets(piece, depth, last=end == self.stop)
            try:
                values: list[object] = orjson.loads(b"[%b]" % piece.translate(_SPACES))
            except orjson.JSONDecodeError as err:
                raise _broken(str(err).partition(":")[0], at) from err
            if not values:
                raise _broken("no number between two commas", at)
            yield values
            at = end + 1

    def _end_of_piece(self, start: int) -> int:
        """The comma at which a piece ends, or the end of the list."""
        if self.stop - start <= _PIECE:
            return self.stop
        comma = self.text.rfind(b",", start + 1, start + _PIECE)
        if comma < 0:
            comma = self.text.find(b",", start + _PIECE, min(self.stop, start + _LONGEST_PIECE))
        if comma < 0 and self.stop - start > _LONGEST_PIECE:
            raise _broken(f"no comma in {_LONGEST_PIECE} bytes", start)
        return comma if comma >= 0 else self.stop

    def _check_brackets(self, piece: bytes, depth: int, *, last: bool) -> int:
        """Refuse brackets that are not those of one list of lists; the depth after the piece."""
        marks = np.frombuffer(piece.translate(None, _NO_BRACKETS), np.uint8)
        if not len(marks):
            return depth
        misplaced = _MISPLACED.search(b",%b," % piece)
        depths = depth + np.cumsum(np.where(marks == ord("["), 1, -1))
        inner = depths[:-1] if last else depths
        if misplaced or (inner <= 0).any() or (last and depths[-1]):
            raise _broken("a bracket out of place, or an empty list", self.start)
        if depths.max() > self.max_depth:
            raise RequestError(
                f"JSON nesting depth exceeds maximum allowed limit ({self.max_depth})"
            )
        return int(depths[-1])


def long_array(text: bytes, start: int, stop: int, max_depth: int) -> LongArray | None:
    """The long array that a stretch without strings, behind a key, holds; None if it holds none.

    Whether it is JSON shows when it is read.
    """
    if stop - start < LONG:
        return None
    before = _START.match(text, start, stop)
    if before is None:
        return None
    end = find(text, b"}", start, stop)
    if end < 0:
        end = stop
    tail = max(start, end - LONG)
    bracket = text.rfind(b"]", tail, end)
    after = _END.match(text[bracket:end]) if bracket >= 0 else None
    if after is None or bracket - before.end() < LONG:
        return None
    first, last = before.end(), bracket + 1
    if count(text, b"[", first, last) != count(text, b"]", first, last):
        return None  # what ends here is a list within it, and strings follow
    return LongArray(text, first, last, max_depth)


def _broken(reason: str, at: int) -> RequestError:
    return RequestError(
        f"failed to parse the request JSON buffer: {reason}, in the array at byte {at}"
    )
