"""Picture bytes -> upright RGB uint8 array of the model's input size.

The trainer's evaluation and the server call the same function, so a picture means the same
numbers on both sides. JPEG files are decoded at a reduced scale where the target allows it
(libjpeg's DCT scaling), which costs a fraction of the full decode and changes the result by
less than the resampling does.
"""

import re
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from contract.bombs import check_cost
from contract.errors import BrokenPicture, NotAPicture, PictureError, TooManyPixels

READABLE_FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
DEFAULT_MAX_PIXELS: Final = 50_000_000  # decoding takes up to 9 bytes a pixel in each thread

Fit = Literal["squash", "pad"]
"""How a picture of another aspect becomes one of the model's size."""

_ORIENTATION_TAG = 0x0112
_TRANSPOSE_OF_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_AXES = (5, 6, 7, 8)
_BEGINNING: Final = re.compile(
    rb"\xff\xd8\xff[\xc0-\xfe]|\x89PNG\r\n\x1a\n|RIFF.{4}WEBP|BM.{4}\0{4}|GIF8[79]a"
    rb"|II[*+]\0|MM\0[*+]",
    re.DOTALL,
)
"""Of READABLE_FORMATS, in their order: what Pillow reads, and for JPEG the next marker, for BMP its
reserved bytes, as two or three bytes alone are those of many pictures' pixels."""

_PIXELS = re.compile(r"\d+(?= pixels)")
_REDUCING_GAP = 2.0  # decode and pre-shrink to no less than twice the target, then resample


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture, resized for a model.

    Attributes:
        pixels: RGB uint8 [height, width, 3], upright.
        width: Width of the upright picture as sent, in pixels.
        height: Height of the upright picture as sent, in pixels.
        content_width: Columns of `pixels`, from the left, that hold the picture and no padding.
        content_height: Rows of `pixels`, from the top, that hold the picture and no padding.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    content_width: int
    content_height: int


def decode_picture(
    data: bytes,
    height: int,
    width: int,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    fit: Fit = "squash",
) -> Picture:
    """Decode a picture file and resize it to RGB uint8 [height, width, 3].

    The EXIF orientation is applied; grey and palette pictures become RGB; transparent pixels
    are laid over white; 16-bit samples keep their upper 8 bits; of an animation the first frame
    is taken. Resampling is bilinear with antialiasing.

    Args:
        data: The bytes of one JPEG, PNG, WebP, BMP, GIF or TIFF file.
        height: Rows of the result.
        width: Columns of the result.
        max_pixels: Largest accepted width times height, checked before decoding.
        fit: squash to the size; or pad: keep the aspect, and fill with black right and below.

    Raises:
        NotAPicture: The bytes are of no readable format.
        BrokenPicture: They are truncated or corrupt.
        TooManyPixels: The picture is over the limit.
    """
    image = _open(data, max_pixels)
    file_format = image.format or "picture"
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
        sent_width, sent_height = _turned(image.size, orientation)
        content = (width, height)
        if fit == "pad":
            content = _largest_inside(sent_width, sent_height, width, height)
        target = _turned(content, orientation)
        image.draft("RGB", (round(target[0] * _REDUCING_GAP), round(target[1] * _REDUCING_GAP)))
        image = _resized_rgb(image, target)
        if (transpose := _TRANSPOSE_OF_ORIENTATION.get(orientation)) is not None:
            image = image.transpose(transpose)
        pixels = _pad(np.asarray(image), height, width)
        return Picture(pixels, sent_width, sent_height, *content)
    except MemoryError:
        raise
    except Exception as err:  # Pillow's readers raise whatever a hostile file makes them meet
        raise BrokenPicture(file_format, str(err) or type(err).__name__) from err


def upright_size(file: Path | BytesIO) -> tuple[int, int] | None:
    """Width and height of a picture file as it stands upright, from its header.

    None where there is none to read, or of a picture over the default limit: `check_picture` says
    what is wrong with those.
    """
    Image.MAX_IMAGE_PIXELS = DEFAULT_MAX_PIXELS  # as in _open
    try:
        with Image.open(file, formats=READABLE_FORMATS) as image:
            if image.width * image.height > DEFAULT_MAX_PIXELS:
                return None
            return _turned(image.size, image.getexif().get(_ORIENTATION_TAG, 1))
    except MemoryError:
        raise
    except Exception:  # as above: Pillow's readers raise whatever they meet
        return None


def begins_as_file(data: bytes) -> bool:
    """Whether bytes begin as a picture file does; a picture of one colour does not."""
    return _BEGINNING.match(data) is not None


def without_pixels(picture: Picture) -> Picture:
    """A copy that keeps the sizes alone, for when the pixels are no longer needed."""
    return replace(picture, pixels=np.zeros((0, 0, 3), np.uint8))


def check_picture(data: bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> PictureError | None:
    """Decode a picture completely and return what is wrong with it, or None."""
    try:
        decode_picture(data, 8, 8, max_pixels)
    except PictureError as err:
        return err
    return None


def _open(data: bytes, max_pixels: int) -> Image.Image:
    # Pillow's own limit, twice this, is for readers that allocate what a header says when they open
    # a file, before its size can be asked: GIF's does, for the frame that it is to clear.
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        image = Image.open(BytesIO(data), formats=READABLE_FORMATS)
        check_cost(image, data, max_pixels)
    except UnidentifiedImageError as err:
        raise NotAPicture(len(data), READABLE_FORMATS) from err
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as err:
        pixels = "".join(_PIXELS.findall(str(err))[:1]) or f"over {max_pixels}"
        raise TooManyPixels(f"picture of {pixels}", max_pixels) from err
    except (PictureError, MemoryError):
        raise
    except Exception as err:  # as above: a header can be as hostile as a body
        raise BrokenPicture("picture", str(err) or type(err).__name__) from err
    return image


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height after, or before, an EXIF orientation is applied."""
    return (size[1], size[0]) if orientation in _SWAPS_AXES else size


def _largest_inside(width: int, height: int, max_width: int, max_height: int) -> tuple[int, int]:
    """The largest width and height of the same aspect inside the given ones, at least 1."""
    scale = min(max_width / width, max_height / height)
    return (
        min(max_width, max(1, round(width * scale))),
        min(max_height, max(1, round(height * scale))),
    )


def _pad(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    rows, columns, channels = pixels.shape
    if (rows, columns) == (height, width):
        return pixels
    padded = np.zeros((height, width, channels), np.uint8)
    padded[:rows, :columns] = pixels
    return padded


def _resized_rgb(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in RGB at `size`, laid over white only once it is small."""
    image = _to_rgb_or_rgba(image)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=_REDUCING_GAP)
    if image.mode == "RGBA":
        return Image.alpha_composite(Image.new("RGBA", size, "white"), image).convert("RGB")
    return image


def _to_rgb_or_rgba(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode == "F":
        return _grey_to_rgb(np.asarray(image, dtype=np.float32), scale_to_one=True)
    if image.mode.startswith("I"):
        return _grey_to_rgb(
            np.asarray(image, dtype=np.float32) / np.float32(256), scale_to_one=False
        )
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("RGB")


def _grey_to_rgb(grey: NDArray[np.float32], *, scale_to_one: bool) -> Image.Image:
    """Grey [H, W] in [0, 255], or in [0, 1] where `scale_to_one` and no value is above 1."""
    if scale_to_one and grey.max(initial=0) <= 1:
        grey = grey * 255
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).convert("RGB")
