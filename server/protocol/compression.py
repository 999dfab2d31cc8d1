"""Content-Encoding and Accept-Encoding: gzip and deflate, in both directions.

A body is decompressed while it comes in, a piece at a time, so that one that unpacks to more than
the limit is refused after the limit and not after its end.

Source: RFC 9110, sections 8.4.1 and 12.5.3; "deflate" is the zlib format.
"""

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from server.errors import RequestError
from server.protocol.http_errors import UnsupportedEncoding

_WINDOW_BITS: Final = {"gzip": 31, "deflate": 15}
_PIECE_BYTES: Final = 1 << 20
_SLICE_BYTES: Final = 1 << 12
"""Packed bytes that are unpacked between two pieces: what is left behind each member is copied, and
there may be one in 20 bytes."""

_LEVEL: Final = 1  # answers are made while a client waits; level 6 takes five times as long


class Decompressor:
    """The decoder of a body's Content-Encoding.

    Args:
        encoding: The header's value.

    Raises:
        UnsupportedEncoding: It is neither gzip, deflate nor identity.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower()
        if self._encoding not in ("", "identity", *_WINDOW_BITS):
            raise UnsupportedEncoding(encoding)
        self._decoder = self._new() if self._encoding in _WINDOW_BITS else None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The next part of the body, unpacked, in pieces that take a short while each.

        Raises:
            RequestError: It is not of the encoding.
        """
        if self._decoder is None:
            yield chunk
            return
        for start in range(0, len(chunk), _SLICE_BYTES):
            left = chunk[start : start + _SLICE_BYTES]
            while left:
                if self._decoder.eof:  # a gzip body may be of several members
                    self._decoder = self._new()
                try:
                    piece = self._decoder.decompress(left, _PIECE_BYTES)
                except zlib.error as err:
                    raise RequestError(f"body is not {self._encoding} data: {err}") from err
                left = self._decoder.unconsumed_tail or self._decoder.unused_data
                if piece:
                    yield piece
            yield b""

    def finish(self) -> None:
        """Refuse a body that was cut off.

        Raises:
            RequestError: More was to come.
        """
        if self._decoder is not None and not self._decoder.eof:
            raise RequestError(f"body ends within its {self._encoding} data")

    def _new(self) -> "zlib._Decompress":
        return zlib.decompressobj(_WINDOW_BITS[self._encoding])


def choose_encoding(accept_encoding: str | None) -> str:
    """gzip, deflate or identity, whichever an Accept-Encoding header prefers.

    Of equals the first named wins, as with Triton; what cannot be read is passed over.
    """
    best, best_weight = "identity", 0.0
    for entry in (accept_encoding or "").split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        weight = _weight(parameters)
        if name in ("identity", *_WINDOW_BITS) and weight > best_weight:
            best, best_weight = name, weight
    return best


def compress(pieces: Iterable[bytes | memoryview], encoding: str) -> list[bytes]:
    """A body as gzip or deflate data, both in pieces, none of them empty."""
    encoder = zlib.compressobj(_LEVEL, wbits=_WINDOW_BITS[encoding])
    packed = [encoder.compress(piece) for piece in pieces]
    return [piece for piece in (*packed, encoder.flush()) if piece]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
