"""Picture files that cost far more than their width and height say, refused before they are decoded.

A reader makes what a file says, not what the picture needs: a TIFF of 64 x 64 may have one tile of
26000 x 26000, which takes 2 GB; a JPEG may go over all its pixels again for each 75 bytes. What such
a file asks for is read from its header and compared with a limit.
"""

import re
import struct
from typing import Final

from PIL import ImageFile, TiffImagePlugin

from contract.errors import BrokenPicture, TooManyPixels

MOST_SCANS: Final = 100
"""Scans of a JPEG, as libtiff allows them too; encoders make about 10."""

MOST_RLE_PIXELS: Final = 4_000_000
"""Pixels of a BMP in run lengths, which Pillow unpacks in Python, at up to 150 ns each."""

_TILE_TAGS: Final = (322, 323)  # TileWidth, TileLength
_TILE_TYPES: Final = {3: "H", 4: "L", 16: "Q"}  # SHORT, LONG, BigTIFF's LONG8
_BIG_TIFF: Final = 43
_JPEG_MARKER: Final = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")  # resets and stuffing are data
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA


def check_cost(image: ImageFile.ImageFile, data: bytes, max_pixels: int) -> None:
    """Refuse an opened picture that would cost more than one of `max_pixels` does.

    Args:
        image: The picture, not decoded yet.
        data: The bytes of its file.
        max_pixels: The limit of width times height.

    Raises:
        TooManyPixels: The picture, or a tile of it, is over the limit.
        BrokenPicture: What it asks for is no sensible picture.
    """
    width, height = image.size
    if width * height > max_pixels:
        raise TooManyPixels(f"picture of {width} x {height} = {width * height}", max_pixels)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tile(data, image.tag_v2.offset, max_pixels)
    elif data.startswith(b"\xff\xd8"):
        scans = count_scans(data)
        if scans > MOST_SCANS:
            raise BrokenPicture("JPEG", f"it has {scans} scans; expected up to {MOST_SCANS}")
    elif image.tile and image.tile[0][0] == "bmp_rle" and width * height > MOST_RLE_PIXELS:
        raise TooManyPixels(
            f"BMP picture in run lengths of {width} x {height} = {width * height}", MOST_RLE_PIXELS
        )


def count_scans(data: bytes) -> int:
    """How often a JPEG file goes over its pixels: its scans before the end of the picture."""
    scans, at = 0, 2
    while (marker := _JPEG_MARKER.search(data, at)) is not None and marker[1][0] != _END:
        scans += marker[1][0] == _SCAN
        at = marker.end()
        if marker[1][0] not in (0x01, _START):
            at += int.from_bytes(data[at : at + 2])
    return scans


def _check_tile(data: bytes, at: int, max_pixels: int) -> None:
    """Refuse tiles over `max_pixels` in the TIFF's directory at byte `at`.

    Pillow and libtiff differ in which types, and which of two entries of a tag, they take; so only
    what both take alike passes.
    """
    order = "<" if data.startswith(b"II") else ">"
    big = _BIG_TIFF in data[2:4]
    count, head, length = ("Q", "HHQ", 20) if big else ("H", "HHL", 12)
    (entries,) = struct.unpack_from(order + count, data, at)
    first = at + struct.calcsize(order + count)
    sides: dict[int, int] = {}
    for where in range(first, first + entries * length, length):
        tag, kind, values = struct.unpack_from(order + head, data, where)
        if tag not in _TILE_TAGS:
            continue
        form = _TILE_TYPES.get(kind)
        if tag in sides or values != 1 or form is None or (form == "Q" and not big):
            raise BrokenPicture("TIFF", "the size of its tiles is not two whole numbers")
        (sides[tag],) = struct.unpack_from(
            order + form, data, where + struct.calcsize(order + head)
        )
    width, height = (sides.get(tag, 0) for tag in _TILE_TAGS)
    if width * height > max_pixels:
        raise TooManyPixels(f"tile of {width} x {height} = {width * height}", max_pixels)
