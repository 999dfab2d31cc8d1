import os
from pathlib import Path

import pytest

from server.sources import ModelFolder
from server.stamps import stamp_model
from tests.tiny_models import publish_colour_model


@pytest.fixture
def folder(tmp_path: Path) -> ModelFolder:
    return ModelFolder("m", publish_colour_model(tmp_path, "m"))


def test_publishing_a_version_leaves_the_stamps_of_the_others(folder: ModelFolder) -> None:
    before = stamp_model(folder).by_version()
    publish_colour_model(folder.path.parent, "m")  # rewrites config.pbtxt and labels.txt
    after = stamp_model(folder).by_version()
    assert list(after) == [1, 2]
    assert after[1] == before[1]


@pytest.mark.parametrize("file", ["config.pbtxt", "labels.txt"])
def test_another_text_is_another_stamp_of_every_version(folder: ModelFolder, file: str) -> None:
    publish_colour_model(folder.path.parent, "m")
    before = stamp_model(folder).by_version()
    path = folder.path / file
    times = path.stat()
    path.write_text(path.read_text().replace("e", "f", 1))  # as long as before
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = stamp_model(folder).by_version()
    assert all(after[number] != before[number] for number in (1, 2))


def test_another_model_file_is_another_stamp_of_its_version_alone(folder: ModelFolder) -> None:
    publish_colour_model(folder.path.parent, "m")
    before = stamp_model(folder).by_version()
    with (folder.path / "2" / "model.onnx").open("ab") as file:
        file.write(b"x")
    after = stamp_model(folder).by_version()
    assert (after[1] == before[1], after[2] == before[2]) == (True, False)


def test_another_file_of_equal_size_and_time_is_another_stamp(folder: ModelFolder) -> None:
    before = stamp_model(folder).by_version()
    path = folder.path / "1" / "model.onnx"
    times = path.stat()
    new = path.with_name(".new")
    new.write_bytes(path.read_bytes()[::-1])
    os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))  # as cp -a does
    new.replace(path)
    after = stamp_model(folder).by_version()
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (times.st_size, times.st_mtime_ns)
    assert after[1] != before[1]


def test_hidden_files_and_other_folders_do_not_count(folder: ModelFolder) -> None:
    before = stamp_model(folder)
    (folder.path / ".staging-1").mkdir()
    (folder.path / "cache").mkdir()
    (folder.path / "cache" / "engine").touch()
    (folder.path / "1" / ".engine").touch()
    (folder.path / "1" / ".cache").mkdir()
    (folder.path / "1" / ".cache" / "engine").touch()
    assert stamp_model(folder) == before


def test_a_bare_files_change_is_another_stamp(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"1")
    folder = ModelFolder("m", tmp_path, path)
    before = stamp_model(folder).by_version()
    path.write_bytes(b"12")
    assert list(before) == [1]
    assert stamp_model(folder).by_version() != before


def test_a_folder_that_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent"):
        stamp_model(ModelFolder("m", tmp_path / "absent"))
