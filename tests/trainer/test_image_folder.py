"""Dataset folders that cannot be trained on get an answer that names what is wrong."""

import shutil
from pathlib import Path

import pytest

from tests.trainer.conftest import aperture_train, fit_flags, problems


@pytest.fixture
def data(digits: Path, tmp_path: Path) -> Path:
    """A copy of the digits to spoil."""
    return Path(shutil.copytree(digits, tmp_path / "data"))


def refused(data: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The answer to a fit on `data`, which must be refused before anything is written."""
    repository = data.parent / "repository"
    assert aperture_train(*fit_flags(data, repository, "digits")) == 1
    assert not repository.exists()
    return problems(capsys.readouterr().err)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_missing_split_is_named(data: Path, capsys: pytest.CaptureFixture[str], split: str) -> None:
    shutil.rmtree(data / split)
    (line,) = refused(data, capsys)
    assert line.startswith(f"{data / split}: folder is missing; expected DIR/")


def test_all_faults_of_the_layout_are_listed_at_once(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "train" / "empty").mkdir()
    (data / "train" / "0" / "nested").mkdir()
    (data / "validation" / "stranger").mkdir()
    (data / "test" / "other").mkdir()
    lines = refused(data, capsys)
    assert [line.partition(":")[0] for line in lines] == [
        str(data / "train" / "empty"),
        str(data / "train" / "0" / "nested"),
        str(data / "validation" / "stranger"),
        str(data / "test" / "other"),
    ]
    assert "label folder is empty" in lines[0]
    assert "folder inside a label folder; expected DIR/" in lines[1]
    assert "label 'stranger' is unknown to train, whose labels are 0, 1, 2, 3" in lines[2]


def test_single_label_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "validation", "test"):
        for label in "123":
            shutil.rmtree(data / split / label)
    (line,) = refused(data, capsys)
    assert "1 label folders; expected at least 2" in line


def test_files_that_are_no_pictures_are_listed_with_the_unreadable_ones(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "train" / "notes.txt").write_text("x")
    (data / "train" / "0" / "notes.txt").write_text("x")
    (data / "validation" / "1" / "broken.png").write_bytes(b"\x89PNG\r\n")
    lines = refused(data, capsys)
    assert lines[0].startswith(f"{data / 'train' / '0' / 'notes.txt'}: not a picture file (.txt)")
    assert lines[1].startswith(f"{data / 'train' / 'notes.txt'}: outside of a label folder")
    assert lines[2].startswith(f"{data / 'validation' / '1' / 'broken.png'}: ")
    assert lines[3].startswith("3 bad files; remove or replace them, or skip them with --skip_bad")


def test_label_with_only_bad_pictures_is_refused_even_when_skipping(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (data / "train" / "2").iterdir():
        path.write_bytes(b"")
    flags = fit_flags(data, data.parent / "repository", "digits", "--skip_bad_images")
    assert aperture_train(*flags) == 1
    assert problems(capsys.readouterr().err) == [
        f"{data / 'train' / '2'}: no usable picture is left of this label"
    ]


def test_name_that_serves_another_interface_is_refused_before_training(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = data.parent / "repository"
    assert aperture_train(*fit_flags(data, repository, "../digits")) == 2
    assert "model name '../digits'" in problems(capsys.readouterr().err)[0]
