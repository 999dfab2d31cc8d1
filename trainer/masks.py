"""Mask files -> label ids, and what is wrong with a mask.

A mask is a PNG of one channel whose pixel value is the label's id: mode L, mode P (the palette is
only for the eye) or 16 bits. Grey of fewer than 8 bits is refused: whether its value 1 means 1 or
white depends on who wrote it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contract.pictures import check_picture
from trainer.datasets.dataset import Sample, Stored, picture_size

IGNORED_ID: Final = 255
"""The id of pixels that neither train nor count, unless it is a label's."""

UNNAMED: Final = "unnamed-{}"
"""What an id below the largest one is called that has no label; no mask may hold it."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3  # PNG's colour types
_COLOURS = {2: "RGB", 4: "grey with transparency", 6: "RGB with transparency"}


@dataclass(frozen=True, slots=True)
class MaskFile:
    """What a picture shows: a file of label ids, of the picture's own size.

    Attributes:
        path: The file.
        ignored: The id of pixels that neither train nor count, if there is one.
        id_of: The label id of each of the 256 values of a pixel, for files that do not hold ids.
    """

    path: Stored = field(repr=False)  # a companion of its sample
    ignored: int | None
    id_of: bytes | None = None

    def read(self) -> NDArray[np.integer]:
        """The label ids [H, W]."""
        return self.decode(self.path.read_bytes())

    def decode(self, data: bytes) -> NDArray[np.integer]:
        """The label ids [H, W] that the file's content says.

        Raises:
            BadMask: As `read_mask`, or a file of 16 bits whose values are to be mapped.
        """
        values = read_mask(data)
        if self.id_of is None:
            return values
        if values.dtype != np.uint8:
            raise BadMask("mask is grey of 16 bits a pixel; a label map is for 8")
        ids: NDArray[np.integer] = np.frombuffer(self.id_of, np.uint8)[values]
        return ids

    def teaches(self) -> bool:
        """Whether any pixel is of a label."""
        return self.ignored is None or bool((self.read() != self.ignored).any())


class BadMask(ValueError):
    """A mask file that cannot be read; the message says why."""


def read_mask(data: bytes) -> NDArray[np.integer]:
    """The label ids [H, W], uint8 or uint16, of a PNG file.

    Raises:
        BadMask: It is no PNG, not of one channel, or broken.
    """
    _check_header(data)
    try:
        with Image.open(BytesIO(data), formats=("PNG",)) as image:
            pixels: NDArray[np.integer] = np.asarray(image)
    except MemoryError:
        raise
    except Exception as err:  # Pillow's readers raise whatever a broken file makes them meet
        raise BadMask(f"broken PNG: {err}") from err
    return pixels if pixels.dtype == np.uint8 else pixels.astype(np.uint16)


def check_mask(picture: Stored, mask: MaskFile, labels: Sequence[str]) -> str | None:
    """What is wrong with the mask of a picture, or None; what the scan says of either is not."""
    Image.MAX_IMAGE_PIXELS = None  # no pixel is decoded before the sizes are compared
    expected = picture_size(picture)
    if expected is None:
        return None
    try:
        data = mask.path.read_bytes()
        size = _size_of(data)
        if size != expected:
            return (
                f"mask of {size[0]} x {size[1]} pixels for the picture {picture.name} of "
                f"{expected[0]} x {expected[1]} pixels, as it stands upright"
            )
        return _unlabelled(mask.decode(data), labels)
    except BadMask as err:
        return str(err) if check_picture(data) is None else None


def mask_of(sample: Sample) -> MaskFile:
    """What a sample of a segmentation dataset shows."""
    assert isinstance(sample.target, MaskFile)  # noqa: S101 - what every such reader puts there
    return sample.target


def ignored_id(labels: Sequence[str]) -> int | None:
    """The id that masks may hold without a label: 255, unless it is one."""
    named = len(labels) > IGNORED_ID and labels[IGNORED_ID] != UNNAMED.format(IGNORED_ID)
    return None if named else IGNORED_ID


def _size_of(data: bytes) -> tuple[int, int]:
    """Width and height that a PNG file's header says."""
    _check_header(data)
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _check_header(data: bytes) -> None:
    if data[:8] != _SIGNATURE or len(data) < 26:
        kind = "zero bytes" if not data else f"{len(data)} bytes that are no PNG file"
        raise BadMask(f"{kind}; expected a mask as PNG")
    bits, colour = data[24], data[25]
    if colour == _PALETTE or (colour == _GREY and bits in (8, 16)):
        return
    got = _COLOURS.get(colour, f"grey of {bits} bit{'s' if bits > 1 else ''} a pixel")
    raise BadMask(f"mask is {got}; expected grey of 8 or 16 bits, or a palette, of label ids")


def _unlabelled(mask: NDArray[np.integer], labels: Sequence[str]) -> str | None:
    named = {index for index, name in enumerate(labels) if name != UNNAMED.format(index)}
    counts = np.bincount(mask.ravel(), minlength=1)
    strange = [
        index for index in np.flatnonzero(counts).tolist() if index not in named | {IGNORED_ID}
    ]
    if not strange:
        return None
    found = ", ".join(f"{index} ({counts[index]} pixels)" for index in strange[:5])
    more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
    ignored = "" if IGNORED_ID in named else f", and {IGNORED_ID} is ignored"
    return (
        f"mask holds ids without a label: {found}{more}; "
        f"the labels' ids are {_ranges(named)}{ignored}"
    )


def _ranges(ids: set[int]) -> str:
    """Such as `0-4, 7` for {0, 1, 2, 3, 4, 7}."""
    ordered = sorted(ids)
    starts = [one for one in ordered if one - 1 not in ids]
    ends = [one for one in ordered if one + 1 not in ids]
    return ", ".join(
        str(start) if start == end else f"{start}-{end}"
        for start, end in zip(starts, ends, strict=True)
    )
