import asyncio
import base64
import threading
from collections.abc import Callable

import pytest

from contract import pictures
from contract.pictures import Fit, Picture
from server.decoder import Base64Text, Decoder, file_of
from server.errors import BadPicture
from server.json_text import parse_json
from tests.picture_files import noise_png


def test_pictures_not_yet_begun_are_dropped_when_their_client_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = threading.Event()
    go_on = threading.Event()
    decoded: list[bytes] = []
    decode_picture = pictures.decode_picture

    def slowly(data: bytes, height: int, width: int, max_pixels: int, fit: Fit) -> Picture:
        begun.set()
        assert go_on.wait(30)
        decoded.append(data)
        return decode_picture(data, height, width, max_pixels, fit)

    monkeypatch.setattr("server.decoder.decode_picture", slowly)
    decoder = Decoder(1, 10_000)
    files = [noise_png(seed) for seed in range(5)]

    async def leave_early() -> Picture:
        request = asyncio.create_task(decoder.decode(files, (8, 8), "squash"))
        await asyncio.to_thread(begun.wait, 30)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        go_on.set()
        (next_one,) = await decoder.decode([noise_png(9)], (8, 8), "squash")
        return next_one

    picture = asyncio.run(leave_early())
    decoder.stop()
    assert decoded == [files[0], noise_png(9)]
    assert (picture.height, picture.width) == (8, 8)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 49_151, 49_152, 49_153, 1_000_000])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes])
def test_base64_is_decoded_in_pieces_of_any_length(
    size: int, encode: Callable[[bytes], bytes]
) -> None:
    file = bytes(i * i & 255 for i in range(size))
    assert file_of(0, Base64Text(encode(file).decode())) == file


@pytest.mark.parametrize("length", [4, 1 << 16, 1_500_000])
@pytest.mark.parametrize("bad", ["QQ==QQ==", "Q", "Q=", "QQ=", "====", "QQ==Q", "@@@@", "ж123"])
def test_what_is_no_base64_is_refused_wherever_it_stands(length: int, bad: str) -> None:
    for text in ("A" * length + bad, bad + "A" * length):
        for parsed in (text, parse_json(b'"%b"' % text.encode(), 1)):
            assert not isinstance(parsed, list)
            with pytest.raises(BadPicture, match="data is not base64"):
                file_of(0, Base64Text(parsed))  # type: ignore[arg-type]
