import os
import threading
from pathlib import Path

import pytest

from contract.errors import ConfigError, RepositoryError
from contract.labels import read_labels
from contract.repository import (
    NEWEST_VERSION,
    check_model_name,
    check_writable,
    list_model_dirs,
    list_versions,
    publish,
    version_number,
)
from tests.tiny_models import LABELS, colour_config, publish_colour_model, write_colour_model


def test_versions_count_up_and_hold_all_files(tmp_path: Path) -> None:
    published = [publish_colour_model(tmp_path / "new" / "repository", "m") for _ in range(3)]
    assert [one.version for one in published] == [1, 2, 3]
    model_dir = published[0].model_dir
    names = sorted(path.relative_to(model_dir).as_posix() for path in model_dir.rglob("*.*"))
    described = ["config.pbtxt", "labels.txt"]
    versions = [f"{n}/{name}" for n in (1, 2, 3) for name in (*described, "model.onnx")]
    assert names == [*versions, *described]
    assert read_labels(model_dir / "labels.txt") == LABELS


def test_a_model_that_fails_while_it_is_written_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        publish(tmp_path, colour_config("m"), LABELS, fail)
    assert list((tmp_path / "m").iterdir()) == []


def test_publishers_at_the_same_time_get_versions_of_their_own(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    versions: list[int] = []

    def write(path: Path) -> None:
        write_colour_model(path)
        barrier.wait(30)

    def run() -> None:
        versions.append(publish(tmp_path, colour_config("m"), LABELS, write).version)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == list(range(1, 9)) == list_versions(tmp_path / "m")


def test_another_interface_needs_another_name(tmp_path: Path) -> None:
    publish_colour_model(tmp_path, "m")
    other = ("red", "green", "yellow")
    with pytest.raises(RepositoryError, match=r"with other labels; .* another --name"):
        publish(tmp_path, colour_config("m"), other, write_colour_model)
    assert list_versions(tmp_path / "m") == [1]
    assert read_labels(tmp_path / "m" / "labels.txt") == LABELS


@pytest.mark.parametrize("name", ["", "../m", "a/b", ".m", "a b", "é", "-m", "x" * 129])
def test_names_that_are_not_safe_in_a_path_or_url_are_refused(name: str) -> None:
    with pytest.raises(RepositoryError, match="expected up to 128 letters"):
        check_model_name(name)


@pytest.mark.parametrize("labels", [[], ["a", "a"], ["a", ""], ["a\nb"], ["a\u2028b"], ["a\udcff"]])
def test_labels_that_a_file_of_lines_cannot_hold_are_refused(
    tmp_path: Path, labels: list[str]
) -> None:
    with pytest.raises(ConfigError):
        publish(tmp_path, colour_config("m"), labels, write_colour_model)
    assert not (tmp_path / "m").exists()


def test_hidden_folders_and_files_are_no_models(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "README.md").touch()
    (tmp_path / "b").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / os.fsdecode(b"x\xff")).mkdir()
    (tmp_path / "größe").mkdir()
    assert [path.name for path in list_model_dirs(tmp_path)] == ["a", "b", "größe"]
    with pytest.raises(RepositoryError, match="No such file"):
        list_model_dirs(tmp_path / "absent")


def test_only_whole_numbers_without_leading_zeros_are_versions(tmp_path: Path) -> None:
    for name in ("1", "10", "2", "03", "x", "0", "-1", ".staging-1", str(2**63 - 1), str(2**63)):
        (tmp_path / name).mkdir()
    (tmp_path / "7").touch()
    assert list_versions(tmp_path) == [1, 2, 10, 2**63 - 1]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("0", 0),
        ("007", 7),
        ("0" * 5000 + "7", 7),
        ("1764417600000000000", 1764417600000000000),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        ("9" * 5000, None),
        ("0" * 5000 + "x", None),
        ("-1", None),
        ("+1", None),
        ("1_0", None),
        ("٣", None),
        ("", None),
    ],
)
def test_a_client_asks_for_a_version_by_its_number(text: str, number: int | None) -> None:
    assert version_number(text) == number


def test_nothing_is_published_behind_the_largest_number(tmp_path: Path) -> None:
    model_dir = publish_colour_model(tmp_path, "m").model_dir
    (model_dir / "1").rename(model_dir / str(NEWEST_VERSION))
    with pytest.raises(RepositoryError, match=f"has version {NEWEST_VERSION}"):
        publish_colour_model(tmp_path, "m")
    assert list_versions(model_dir) == [NEWEST_VERSION]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "repository")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(RepositoryError, match="cannot write to"):
        check_writable(tmp_path / "file" / "repository")
