"""Encoded pictures -> decoded, resized pictures, in threads beside the event loop.

Pillow releases the GIL while it decodes and resamples, so the threads run in parallel.
"""

import asyncio
import base64
import binascii
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from PIL import Image

from contract.errors import PictureError
from contract.pictures import Fit, Picture, decode_picture
from server.errors import BadPicture
from server.long_strings import LongString

_PIECE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Base64Text:
    """A picture file as base64 text, perhaps in lines, as base64.encodebytes writes it."""

    text: str | LongString

    def decoded(self) -> bytes:
        """The file, a piece at a time, because a long text would hold the interpreter.

        Raises:
            binascii.Error, ValueError: It is not base64.
        """
        files: list[bytes] = []
        rest = ""
        for piece in self._pieces():
            text = rest + "".join(piece.split())
            whole = max(0, len(text) - 1) // 4 * 4  # the last four may be padded
            if "=" in text[:whole]:
                raise binascii.Error("Excess data after padding")
            files.append(base64.b64decode(text[:whole], validate=True))
            rest = text[whole:]
        return b"".join([*files, base64.b64decode(rest, validate=True)])

    def _pieces(self) -> Iterator[str]:
        if isinstance(self.text, LongString):
            yield from self.text.pieces()
            return
        for start in range(0, len(self.text), _PIECE):
            yield self.text[start : start + _PIECE]


PictureFile = bytes | Base64Text
"""A picture file as a request holds it."""


class Decoder:
    """Decodes pictures of all models in one pool of threads.

    Args:
        threads: Size of the pool.
        max_pixels: Largest picture that is decoded, in pixels.
    """

    def __init__(self, threads: int, max_pixels: int) -> None:
        Image.init()  # import every reader now, not in the first request
        # The pictures that it is about are refused, with a text of their own.
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._max_pixels = max_pixels

    def stop(self) -> None:
        """End the threads after the pictures they are at."""
        self._pool.shutdown(cancel_futures=True)

    async def decode(
        self, files: Sequence[PictureFile], size: tuple[int, int], fit: Fit, first_index: int = 0
    ) -> list[Picture]:
        """Decode the pictures of one request, in their order.

        Args:
            files: The picture files.
            size: Height and width of the results.
            fit: How a picture of another aspect is brought to that size.
            first_index: The index of the first of them in the request.

        Raises:
            BadPicture: Names the first picture that cannot be used, by its index.
        """
        loop = asyncio.get_running_loop()
        jobs = [
            loop.run_in_executor(self._pool, self._decode_one, index, file, size, fit)
            for index, file in enumerate(files, first_index)
        ]
        try:
            return [await job for job in jobs]
        finally:
            for job in jobs:
                job.cancel()

    def _decode_one(
        self, index: int, file: PictureFile, size: tuple[int, int], fit: Fit
    ) -> Picture:
        try:
            return decode_picture(file_of(index, file), *size, self._max_pixels, fit)
        except PictureError as err:
            raise BadPicture(index, err) from err


def file_of(index: int, file: PictureFile) -> bytes:
    """The picture file of index `index`.

    Raises:
        BadPicture: It is not base64.
    """
    if isinstance(file, bytes):
        return file
    try:
        return file.decoded()
    except (binascii.Error, ValueError) as err:
        raise BadPicture(index, f"data is not base64: {err}") from err
