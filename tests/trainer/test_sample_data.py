"""Drawn datasets are the same for the same seed, and can be trained on."""

from pathlib import Path

import pytest
from PIL import Image

from tests.trainer.conftest import aperture_train
from trainer.datasets.image_folder import read_image_folder


def draw(folder: Path, *flags: str) -> dict[str, bytes]:
    """Draw a small dataset and return its files."""
    assert aperture_train("sample-data", str(folder), "--count", "8", *flags) == 0
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")
    }


def test_same_seed_draws_the_same_files(tmp_path: Path) -> None:
    first = draw(tmp_path / "a")
    assert first == draw(tmp_path / "b")
    other = draw(tmp_path / "c", "--seed", "7")
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


def test_dataset_has_all_splits_labels_and_sizes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = draw(tmp_path / "data", "--size", "32", "--labels", "6")
    dataset = read_image_folder(tmp_path / "data")
    assert dataset.labels == ("circle", "cross", "sliver", "square", "star", "triangle")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 48,
        "validation": 12,
        "test": 12,
    }
    assert len(set(files.values())) == 72
    with Image.open(dataset.samples[0].path) as image:
        assert (image.size, image.mode) == ((32, 32), "RGB")
    assert f"{tmp_path / 'data' / 'train'}: 48 pictures" in capsys.readouterr().out
