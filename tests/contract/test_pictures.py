import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contract.errors import BrokenPicture, NotAPicture, TooManyPixels
from contract.pictures import (
    READABLE_FORMATS,
    begins_as_file,
    check_picture,
    decode_picture,
    upright_size,
)
from tests.picture_files import china_jpeg, encode, noise


def test_a_picture_of_the_models_size_keeps_every_value() -> None:
    picture = decode_picture(encode(Image.fromarray(noise(0))), 8, 8)
    np.testing.assert_array_equal(picture.pixels, noise(0))
    assert picture.pixels.dtype == np.uint8
    assert (picture.width, picture.height) == (8, 8)


def test_the_size_as_sent_is_the_upright_one() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = decode_picture(encode(Image.new("RGB", (30, 20)), "JPEG", exif=exif), 4, 8)
    assert (picture.width, picture.height) == (20, 30)
    assert picture.pixels.shape == (4, 8, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_upright(orientation: int) -> None:
    upright = Image.fromarray(noise(1, width=12, height=8))
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if undo is None else upright.transpose(undo)
    pixels = decode_picture(encode(stored, "PNG", exif=exif), 8, 12).pixels
    np.testing.assert_array_equal(pixels, np.asarray(upright))


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_the_upright_size_is_read_from_the_header(tmp_path: Path, file_format: str) -> None:
    path = tmp_path / "picture"
    for orientation, size in ((1, (7, 5)), (3, (7, 5)), (5, (5, 7)), (8, (5, 7)), (9, (7, 5))):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.new("RGB", (7, 5)).save(path, file_format, exif=exif)
        assert upright_size(path) == size
        decoded = decode_picture(path.read_bytes(), 4, 4)
        assert (decoded.width, decoded.height) == size
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert upright_size(path) is None
    assert upright_size(tmp_path / "missing") is None


def test_transparent_pixels_are_laid_over_white() -> None:
    half = np.zeros((8, 8, 4), np.uint8)
    half[:, :4, 3] = 255
    pixels = decode_picture(encode(Image.fromarray(half)), 8, 8).pixels
    assert (pixels[:, :4] == 0).all()
    assert (pixels[:, 4:] == 255).all()


def test_a_palette_with_a_transparent_entry_is_laid_over_white() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([10, 20, 30, 200, 0, 0])
    assert decode_picture(encode(image), 8, 8).pixels[0, 0].tolist() == [200, 0, 0]
    transparent = encode(image, transparency=1)
    assert decode_picture(transparent, 8, 8).pixels[0, 0].tolist() == [255, 255, 255]


def test_16_bit_samples_keep_their_upper_8_bits() -> None:
    deep = Image.fromarray(np.full((8, 8), 0x7F12, np.uint16))
    for file_format in ("PNG", "TIFF"):
        pixels = decode_picture(encode(deep, file_format), 8, 8).pixels
        assert (pixels == 0x7F).all()


def test_floats_are_read_from_0_to_1_or_to_255() -> None:
    for full in (1.0, 255.0):
        floats = Image.fromarray(np.linspace(0, full, 64, dtype=np.float32).reshape(8, 8))
        pixels = decode_picture(encode(floats, "TIFF"), 8, 8).pixels
        assert pixels.min() == 0
        assert pixels.max() == 255


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_picture(data, 8, 8).pixels[0, 0].tolist() == [255, 0, 0]


def test_reduced_jpeg_decoding_stays_close_to_the_full_one() -> None:
    full = Image.open(io.BytesIO(china_jpeg())).convert("RGB")
    expected = np.asarray(full.resize((64, 64), Image.Resampling.BILINEAR), np.int16)
    pixels = decode_picture(china_jpeg(), 64, 64).pixels.astype(np.int16)
    assert np.abs(pixels - expected).mean() < 2


def test_bytes_of_no_picture_are_told_from_broken_ones() -> None:
    assert "zero bytes" in str(check_picture(b""))
    assert isinstance(check_picture(b"plain text"), NotAPicture)
    assert isinstance(check_picture(b"\x89PNG\r\n\x1a\n"), NotAPicture | BrokenPicture)
    assert check_picture(china_jpeg()) is None


@pytest.mark.parametrize("file_format", READABLE_FORMATS)
def test_a_file_is_told_from_pixels_by_its_beginning(file_format: str) -> None:
    file = encode(Image.fromarray(noise(0)), file_format)
    assert begins_as_file(file)
    one_colour = file[:3] * 64
    assert not begins_as_file(one_colour)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_a_truncated_file_is_broken(file_format: str) -> None:
    data = encode(Image.fromarray(noise(0, width=64, height=64)), file_format)
    assert check_picture(data) is None
    problem = check_picture(data[: len(data) * 2 // 3])
    assert isinstance(problem, BrokenPicture | NotAPicture)


@pytest.mark.parametrize("seed", range(30))
def test_no_damaged_file_escapes_with_another_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for file_format in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"):
        data = bytearray(encode(Image.fromarray(noise(0, width=32, height=32)), file_format))
        for position in rng.integers(0, len(data), 8):
            data[position] = rng.integers(0, 256)
        check_picture(bytes(data), max_pixels=10_000)


def test_the_pixel_limit_counts_before_decoding() -> None:
    data = encode(Image.new("1", (1000, 1001)))
    with pytest.raises(TooManyPixels, match="picture of 1001000 pixels; the limit is 1000000"):
        decode_picture(data, 8, 8, max_pixels=1_000_000)


@pytest.mark.parametrize(
    ("size", "content"),
    [((40, 20), (16, 8)), ((20, 40), (8, 16)), ((4, 4), (16, 16)), ((900, 1), (16, 1))],
)
def test_padding_keeps_the_aspect_and_fills_right_and_below(
    size: tuple[int, int], content: tuple[int, int]
) -> None:
    picture = decode_picture(encode(Image.new("RGB", size, "white")), 16, 16, fit="pad")
    assert (picture.content_width, picture.content_height) == content
    assert (picture.width, picture.height) == size
    inside = picture.pixels[: content[1], : content[0]]
    assert (inside == 255).all()
    assert picture.pixels.sum() == inside.sum(dtype=int)


def test_padding_follows_the_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.new("RGB", (40, 20), "white"), "PNG", exif=exif)
    picture = decode_picture(data, 16, 16, fit="pad")
    assert (picture.content_width, picture.content_height) == (8, 16)
    assert (picture.pixels[:, :8] == 255).all()
