"""The scan reads every picture that Pillow can, lists every one that it cannot, and hashes all."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainer.conftest import FAST, aperture_train, fit_flags, problems
from trainer.datasets.image_folder import read_image_folder
from trainer.processes import Processes
from trainer.scan import Scan, scan_pictures


def scan(data: Path) -> Scan:
    return scan_pictures(read_image_folder(data), Processes(index=0, count=1))


def write_every_kind(folder: Path) -> None:
    """Two labels of pictures in every format, mode and several sizes."""
    random = np.random.default_rng(0)
    kinds = [
        *(("RGB", suffix) for suffix in ("png", "jpg", "jpeg", "webp", "bmp", "PNG")),
        *(("L", suffix) for suffix in ("png", "jpg", "webp", "bmp")),
        *(("P", "png"), ("P", "bmp"), ("RGBA", "png"), ("RGBA", "webp"), ("LA", "png")),
        *(("1", "png"), ("I;16", "png"), ("CMYK", "jpg")),
    ]
    for split in ("train", "validation"):
        for label in ("a", "b"):
            (folder / split / label).mkdir(parents=True)
            for index, (mode, suffix) in enumerate(kinds):
                size = (7 + 5 * index, 40 - index, 3)
                rgb = Image.fromarray(random.integers(0, 256, size, dtype=np.uint8))
                grey = np.asarray(rgb.convert("L"), dtype=np.uint16) * 256
                image = Image.fromarray(grey) if mode == "I;16" else rgb.convert(mode)
                image.save(folder / split / label / f"{index:02d}-{mode.strip(';')}.{suffix}")


def test_every_format_and_mode_trains(tmp_path: Path) -> None:
    write_every_kind(tmp_path / "data")
    found = scan(tmp_path / "data")
    assert found.problems == ()
    assert len(found.dataset.splits["train"]) == 36
    flags = (*FAST, "--num_train_epochs", "1")
    assert aperture_train(*fit_flags(tmp_path / "data", tmp_path / "repo", "kinds", *flags)) == 0


def test_hidden_and_system_files_are_ignored(digits: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(digits, tmp_path / "data"))
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.png"):
        (data / "train" / "0" / name).write_bytes(b"x")
    (data / "train" / ".ipynb_checkpoints").mkdir()
    assert scan(data).problems == ()
    assert scan(data).sha256 == scan(digits).sha256


def test_hash_depends_on_names_and_contents_of_used_pictures_alone(
    digits: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(digits, tmp_path / "data"))
    before = scan(data).sha256
    assert before == scan(digits).sha256
    (data / "train" / "0" / "broken.png").write_bytes(b"x")
    assert scan(data).sha256 == before
    (data / "train" / "0" / "000.png").rename(data / "train" / "0" / "renamed.png")
    assert scan(data).sha256 != before


def test_at_most_50_bad_pictures_are_printed_and_all_are_written(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(shutil.copytree(digits, tmp_path / "data"))
    for index in range(60):
        (data / "train" / "0" / f"bad{index}.png").write_bytes(b"not a picture")
    assert aperture_train(*fit_flags(data, tmp_path / "repo", "digits")) == 1
    lines = problems(capsys.readouterr().err)
    listed = tmp_path / "runs" / "digits" / "bad_images.txt"
    assert len(lines) == 52
    assert lines[50] == f"and 10 more; all are in {listed}"
    assert len(listed.read_text().splitlines()) == 60


def test_skip_bad_images_trains_on_the_rest(digits: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(digits, tmp_path / "data"))
    (data / "train" / "0" / "truncated.png").write_bytes(
        (data / "train" / "0" / "000.png").read_bytes()[:60]
    )
    (data / "test" / "1" / "notes.txt").write_text("x")
    flags = (*FAST, "--num_train_epochs", "1", "--skip_bad_images")
    assert aperture_train(*fit_flags(data, tmp_path / "repo", "digits", *flags)) == 0
    listed = (tmp_path / "runs" / "digits" / "bad_images.txt").read_text().splitlines()
    assert [line.partition(":")[0] for line in listed] == [
        str(data / "test" / "1" / "notes.txt"),
        str(data / "train" / "0" / "truncated.png"),
    ]
