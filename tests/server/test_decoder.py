import asyncio
import threading

import pytest

from contract import pictures
from contract.pictures import Fit, Picture
from server.decoder import Decoder
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
