"""Small files that ask for much more than a picture of their width and height does."""

import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from contract.bombs import MOST_RLE_PIXELS, MOST_SCANS, count_scans
from contract.errors import BrokenPicture, PictureError, TooManyPixels
from contract.pictures import check_picture, decode_picture
from tests.picture_files import encode, noise

SHORT, LONG, LONG8, SLONG8 = 3, 4, 16, 17


def tiled_tiff(*tile: tuple[int, int, int], side: int = 64, order: str = "<") -> bytes:
    """A grey TIFF of 64 x 64 whose one tile, of zeros, the tags (number, type, value) describe."""
    content = zlib.compress(bytes(side * side))
    plain = [(256, LONG, 64), (257, LONG, 64), (258, SHORT, 8), (259, SHORT, 8), (262, SHORT, 1)]
    count = len(plain) + len(tile) + 2
    start = 8 + 2 + 12 * count + 4
    entries = [*plain, *tile, (324, LONG, start), (325, LONG, len(content))]
    form = {SHORT: "HHLHxx", LONG: "HHLL", LONG8: "HHLL", SLONG8: "HHLL"}
    tags = b"".join(struct.pack(order + form[kind], tag, kind, 1, n) for tag, kind, n in entries)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HL", 42, 8)
    return head + struct.pack(order + "H", count) + tags + bytes(4) + content


def huge_frame_gif(side: int) -> bytes:
    """A GIF whose screen is 8 x 8, and whose first frame, to be cleared, is `side` x `side`."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x80, 0, 0) + bytes(6)
    clear = b"\x21\xf9\x04\x08" + bytes(4)
    return screen + clear + b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x08\x00;"


def run_length_bmp(width: int, height: int) -> bytes:
    """A grey BMP whose lines end at once, so that they are filled up."""
    lines = b"\x01\x01\x00\x00" * height + b"\x00\x01"
    start = 14 + 40 + 1024
    head = struct.pack("<2sIHHI", b"BM", start + len(lines), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(lines), 0, 0, 256, 0)
    return head + info + bytes(1024) + lines


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [SHORT, LONG])
def test_a_tile_is_held_against_the_limit_of_pixels(order: str, kind: int) -> None:
    data = tiled_tiff((322, kind, 112), (323, kind, 96), side=112, order=order)
    assert check_picture(data, max_pixels=112 * 96) is None
    with pytest.raises(TooManyPixels, match="tile of 112 x 96 = 10752 pixels; the limit is 10751"):
        decode_picture(data, 8, 8, max_pixels=112 * 96 - 1)


@pytest.mark.parametrize(
    "tile",
    [
        [(322, LONG, 9999), (322, LONG, 64), (323, LONG, 64)],
        [(322, SLONG8, 8), (322, LONG, 64), (323, LONG, 64)],
        [(322, LONG, 64), (323, LONG8, 8)],
    ],
)
def test_a_tile_of_two_sizes_is_refused(tile: list[tuple[int, int, int]]) -> None:
    with pytest.raises(BrokenPicture, match="the size of its tiles is not two whole numbers"):
        decode_picture(tiled_tiff(*tile), 8, 8)


def test_what_asks_for_gigabytes_is_refused_without_them() -> None:
    bombs = [tiled_tiff((322, LONG, 40000), (323, LONG, 40000)), huge_frame_gif(60000)]
    program = (
        "import resource\n"
        "from contract.pictures import check_picture\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "limit = pages * resource.getpagesize() + 2**28\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        f"for data in {bombs!r}:\n"
        "    print(check_picture(data))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [
        "tile of 40000 x 40000 = 1600000000 pixels; the limit is 50000000 pixels",
        "picture of 3600000000 pixels; the limit is 50000000 pixels",
    ], done.stderr


def test_a_jpeg_that_goes_over_its_pixels_too_often_is_refused() -> None:
    data = encode(Image.fromarray(noise(0)), "JPEG", progressive=True)
    usual = count_scans(data)
    assert 1 < usual < MOST_SCANS / 2
    last = data[data.rindex(b"\xff\xda") : -2]
    longest = data[:-2] + last * (MOST_SCANS - usual) + data[-2:]
    assert check_picture(longest) is None
    with pytest.raises(BrokenPicture, match="it has 101 scans; expected up to 100"):
        decode_picture(longest[:-2] + last + longest[-2:], 8, 8)


def test_scans_of_pictures_inside_or_behind_a_jpeg_do_not_count() -> None:
    exif = Image.Exif()
    exif[0x010E] = "\xff\xda" * 200
    data = encode(Image.fromarray(noise(0)), "JPEG", exif=exif)
    assert count_scans(data + b"\xff\xda" * 200) == 1
    assert check_picture(data + b"\xff\xda" * 200) is None


def test_a_bmp_in_run_lengths_has_a_limit_of_its_own() -> None:
    picture = decode_picture(run_length_bmp(100, 50), 8, 8)
    np.testing.assert_array_equal(picture.pixels, np.zeros((8, 8, 3)))
    wide = check_picture(run_length_bmp(MOST_RLE_PIXELS + 1, 1))
    assert isinstance(wide, PictureError)
    assert str(wide).startswith("BMP picture in run lengths of 4000001 x 1 = 4000001 pixels")
