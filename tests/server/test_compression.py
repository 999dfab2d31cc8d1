import gzip
import zlib

import numpy as np
import pytest

from server.errors import RequestError
from server.protocol.compression import Decompressor, choose_encoding, compress
from server.protocol.http_errors import UnsupportedEncoding

BODY = np.random.default_rng(1).bytes(3000) + b"a" * 5_000_000


def unpack(encoding: str, packed: bytes, step: int) -> bytes:
    decompressor = Decompressor(encoding)
    chunks = [packed[start : start + step] for start in range(0, len(packed), step)]
    body = b"".join(piece for chunk in chunks for piece in decompressor.feed(chunk))
    decompressor.finish()
    return body


@pytest.mark.parametrize("step", [1, 100, 10_000])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP", "identity", ""])
def test_a_body_is_unpacked_from_chunks_of_any_size(encoding: str, step: int) -> None:
    body = BODY[:5000]
    packed = (
        b"".join(compress([body], encoding.lower()))
        if encoding.lower() in ("gzip", "deflate")
        else body
    )
    assert unpack(encoding, packed, step) == body


def test_other_writers_are_understood() -> None:
    assert unpack("gzip", gzip.compress(BODY), 1000) == BODY
    assert unpack("deflate", zlib.compress(BODY), 1000) == BODY
    assert unpack("gzip", gzip.compress(b"one") + gzip.compress(b"two"), 7) == b"onetwo"
    assert gzip.decompress(b"".join(compress([BODY], "gzip"))) == BODY
    assert zlib.decompress(b"".join(compress([BODY], "deflate"))) == BODY


def test_pieces_are_small_whatever_a_chunk_unpacks_to() -> None:
    bomb = zlib.compress(bytes(50_000_000))
    pieces = Decompressor("deflate").feed(bomb)
    assert max(len(next(pieces)) for _ in range(10)) <= 1 << 20


def test_many_members_without_content_are_unpacked_in_some_pieces() -> None:
    member = gzip.compress(b"")
    assert not any(pieces := list(Decompressor("gzip").feed(member * 10_000)))
    assert len(member) * 10_000 >> 12 < len(pieces) < 100


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_broken_body_is_refused(encoding: str) -> None:
    packed = b"".join(compress([BODY], encoding))
    with pytest.raises(RequestError, match=f"body is not {encoding} data"):
        unpack(encoding, b"no such thing", 100)
    with pytest.raises(RequestError, match=f"body ends within its {encoding} data"):
        unpack(encoding, packed[:-9], 100)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedEncoding, match="Unsupported compression type"):
        Decompressor(encoding)


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("deflate;q=0.9, gzip;q=0.5", "deflate"),
        ("gzip; q=0.1, deflate; q=0.2, identity;q=0.3", "identity"),
        ("gzip;q=0", "identity"),
        ("gzip;q=much, deflate", "deflate"),
        ("br", "identity"),
        (";,=q;;", "identity"),
    ],
)
def test_the_encoding_is_the_one_preferred(header: str | None, chosen: str) -> None:
    assert choose_encoding(header) == chosen
