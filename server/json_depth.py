"""How deep a JSON text nests, found without parsing it."""

from collections.abc import Iterator
from typing import Final

import numpy as np

_MARKS: Final = b'[]{}"'
_OTHERS: Final = bytes(set(range(256)) - set(_MARKS))
_PIECE: Final = 1 << 20
_STEPS: Final = np.zeros(256, np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1


def nests_deeper(text: bytes, limit: int) -> bool:
    """Whether lists and objects of a JSON text nest deeper than `limit`.

    Brackets within strings do not count. Every pass is a few calls over the text, so a body of
    many megabytes takes milliseconds; most texts have too few brackets for a second pass.
    """
    starts = range(0, len(text), _PIECE)
    counts = (text.count(mark, at, at + _PIECE) for at in starts for mark in (b"[", b"{"))
    if sum(counts) <= limit:
        return False
    outside = b"".join(b"".join(_marks(text)).split(b'"')[::2])
    if not outside:
        return False
    depths = np.cumsum(_STEPS[np.frombuffer(outside, np.uint8)], dtype=np.int32)
    return bool(depths.max() > limit)


def _marks(text: bytes) -> Iterator[bytes]:
    """The brackets and quotes of a text, but for escaped quotes, which begin and end no string.

    A piece at a time, because a call holds the interpreter until it returns.
    """
    escape = False  # whether a piece's first byte is the second of an escape
    for start in range(0, len(text), _PIECE):
        piece = text[start + escape : start + _PIECE]
        escape = (len(piece) - len(piece.rstrip(b"\\"))) % 2 == 1
        if b"\\" in piece:
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        yield piece.translate(None, _OTHERS)
