import threading
from functools import partial
from pathlib import Path

import pytest

from contract.errors import ConfigError, RepositoryError
from contract.labels import read_labels
from contract.repository import LARGEST_VERSION, list_versions
from tests.tiny_models import LABELS, colour_config, publish_colour_model, write_colour_model
from trainer.folder_publishing import publish_folder


def test_versions_count_up_and_hold_all_files(tmp_path: Path) -> None:
    repository = tmp_path / "new" / "repository"
    publish = partial(publish_folder, repository, colour_config("m"), LABELS, write_colour_model)
    assert [publish() for _ in range(3)] == [1, 2, 3]
    model_dir = repository / "m"
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
        publish_folder(tmp_path, colour_config("m"), LABELS, fail)
    assert list((tmp_path / "m").iterdir()) == []


def test_publishers_at_the_same_time_get_versions_of_their_own(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    versions: list[int] = []

    def write(path: Path) -> None:
        write_colour_model(path)
        barrier.wait(30)

    def run() -> None:
        versions.append(publish_folder(tmp_path, colour_config("m"), LABELS, write))

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
        publish_folder(tmp_path, colour_config("m"), other, write_colour_model)
    assert list_versions(tmp_path / "m") == [1]
    assert read_labels(tmp_path / "m" / "labels.txt") == LABELS


@pytest.mark.parametrize("labels", [[], ["a", "a"], ["a", ""], ["a\nb"], ["a\u2028b"], ["a\udcff"]])
def test_labels_that_a_file_of_lines_cannot_hold_are_refused(
    tmp_path: Path, labels: list[str]
) -> None:
    with pytest.raises(ConfigError):
        publish_folder(tmp_path, colour_config("m"), labels, write_colour_model)
    assert not (tmp_path / "m").exists()


def test_nothing_is_published_behind_the_largest_number(tmp_path: Path) -> None:
    model_dir = publish_colour_model(tmp_path, "m")
    (model_dir / "1").rename(model_dir / str(LARGEST_VERSION))
    with pytest.raises(RepositoryError, match=f"has version {LARGEST_VERSION}"):
        publish_colour_model(tmp_path, "m")
    assert list_versions(model_dir) == [LARGEST_VERSION]
