"""Channels of image classification: SageMaker's formats give the samples that a folder of labels
gives, and what is wrong with a channel is one line each."""

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.channel_folders import channels, contents, send
from tests.trainer.conftest import write_digits
from tests.trainer.recordio import frame
from trainer.datasets.dataset import Dataset
from trainer.datasets.image_folder import read_image_folder
from trainer.sagemaker.channels import read_classification


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    data = tmp_path_factory.mktemp("digits")
    return read_image_folder(write_digits(data, {"train": 3, "validation": 2}))


def write_lists(dataset: Dataset, root: Path, label: Callable[[int], str] = str) -> None:
    """A .lst file for each split, in the dataset's order."""
    for split, samples in dataset.splits.items():
        lines = [
            f"{7 * index}\t{label(int(str(sample.target)))}\t"
            f"{Path(str(sample.path)).relative_to(dataset.root / split)}\n"
            for index, sample in enumerate(samples)
        ]
        (root / f"{split}_lst").mkdir(parents=True)
        (root / f"{split}_lst" / f"{split}.lst").write_text("".join(lines))


def image_record(labels: Sequence[float], picture: bytes) -> bytes:
    """A record of one label in MXNet's header, or of several behind it."""
    if len(labels) == 1:
        return frame(struct.pack("<IfQQ", 0, labels[0], 0, 0) + picture)
    head = struct.pack(f"<IfQQ{len(labels)}f", len(labels), 0, 0, 0, *labels)
    return frame(head + picture)


def write_records(dataset: Dataset, root: Path, label: Callable[[int], list[float]]) -> None:
    """Two .rec files for each split, whose order together is the dataset's."""
    for split, samples in dataset.splits.items():
        (root / split).mkdir(parents=True)
        half = len(samples) // 2
        for number, part in enumerate((samples[:half], samples[half:])):
            records = [
                image_record(label(int(str(sample.target))), sample.path.read_bytes())
                for sample in part
            ]
            (root / split / f"{split}_{number}.rec").write_bytes(b"".join(records))
        (root / split / f"{split}_0.idx").write_text("0\t0\n")


@pytest.mark.parametrize("content_type", ["application/x-image", "image/png", "lst", None])
def test_listed_pictures_are_those_of_the_folder(
    folder: Dataset, tmp_path: Path, content_type: str | None
) -> None:
    write_lists(folder, tmp_path, label="{:.6f}".format)  # as im2rec writes a label
    given = channels(folder.root, content_type, "train", "validation")
    given |= channels(tmp_path, content_type, "train_lst", "validation_lst")
    found = read_classification(given, 4, multi_label=False, workspace=tmp_path)
    assert contents(found) == contents(folder)
    assert found.labels == folder.labels == ("0", "1", "2", "3")


@pytest.mark.parametrize("content_type", ["application/x-recordio", "rec", None])
def test_records_are_those_of_the_folder(
    folder: Dataset, tmp_path: Path, content_type: str | None
) -> None:
    write_records(folder, tmp_path, label=lambda index: [index])
    given = channels(tmp_path, content_type, "train", "validation")
    found = read_classification(given, 4, multi_label=False, workspace=tmp_path)
    assert contents(found) == contents(folder)


def write_manifests(
    dataset: Dataset, root: Path, label: Callable[[int], object], reference: str = "{}"
) -> None:
    """A manifest for each split, which names the dataset's own files."""
    for split, samples in dataset.splits.items():
        (root / split).mkdir(parents=True)
        lines = [
            json.dumps(
                {
                    "source-ref": reference.format(sample.path),
                    "class": label(int(str(sample.target))),
                    "class-metadata": {"class-name": f"digit {sample.target}"},
                }
            )
            for sample in samples
        ]
        (root / split / f"{split}.manifest").write_text("\n".join(lines))


@pytest.mark.parametrize("label", [int, str, float])
@pytest.mark.parametrize("reference", ["{}", "file://{}"])
def test_pictures_of_a_manifest_are_those_of_the_folder(
    folder: Dataset, tmp_path: Path, label: Callable[[int], object], reference: str
) -> None:
    write_manifests(folder, tmp_path, label, reference)
    given = channels(tmp_path, "application/x-recordio", "train", "validation")
    found = read_classification(given, 4, multi_label=False, workspace=tmp_path)
    assert contents(found) == contents(folder)


def test_names_of_all_classes_become_the_labels(folder: Dataset, tmp_path: Path) -> None:
    write_manifests(folder, tmp_path, int)
    given = channels(tmp_path, None, "train", "validation")
    found = read_classification(given, 4, multi_label=False, workspace=tmp_path)
    assert found.labels == ("digit 0", "digit 1", "digit 2", "digit 3")
    found = read_classification(given, 5, multi_label=False, workspace=tmp_path)
    assert found.labels == ("0", "1", "2", "3", "4"), "the class 4 has no name"


def test_pipes_of_records_and_of_manifests_bring_the_pictures_of_the_folder(
    folder: Dataset, tmp_path: Path
) -> None:
    for wrapped in (False, True):
        root = tmp_path / f"wrapped {wrapped}"
        given = {
            name: replace(one, pipe=True, recordio_wrapper=wrapped)
            for name, one in channels(root, "application/x-recordio", "train", "validation").items()
        }
        for split, samples in folder.splits.items():
            pairs = [(sample.path.read_bytes(), int(str(sample.target))) for sample in samples]
            send(
                given[split],
                b"".join(
                    frame(picture) + frame(str(target).encode())
                    if wrapped
                    else image_record([target], picture)
                    for picture, target in pairs
                ),
            )
        found = read_classification(given, 4, multi_label=False, workspace=root / "workspace")
        assert contents(found) == contents(folder)


def test_several_classes_of_a_picture_are_the_same_in_every_format(
    folder: Dataset, tmp_path: Path
) -> None:
    def hot(target: int) -> list[float]:
        return [float(index in (target, 3)) for index in range(4)]

    def ids(target: int) -> list[int]:
        return sorted({target, 3}, reverse=True)

    expected = {
        split: [(data, tuple(sorted(ids(int(str(target)))))) for data, target in samples]
        for split, samples in contents(folder).items()
    }
    recordio, splits = "application/x-recordio", ("train", "validation")
    write_records(folder, tmp_path / "rec", hot)
    write_lists(folder, tmp_path / "lst", lambda target: "\t".join(map(str, hot(target))))
    write_manifests(folder, tmp_path / "hot", lambda target: json.dumps(hot(target)))
    write_manifests(folder, tmp_path / "ids", lambda target: json.dumps(ids(target)))
    write_manifests(folder, tmp_path / "json", ids)
    class_id = f"{recordio}; label-format=class-id"
    for given in (
        channels(tmp_path / "rec", recordio, *splits),
        channels(folder.root, "application/x-image", *splits)
        | channels(tmp_path / "lst", "application/x-image", "train_lst", "validation_lst"),
        channels(tmp_path / "hot", recordio, *splits),
        channels(tmp_path / "hot", f"{recordio}; label-format=multi-hot", *splits),
        channels(tmp_path / "ids", class_id, *splits),
        channels(tmp_path / "json", class_id, *splits),
    ):
        found = read_classification(given, 4, multi_label=True, workspace=tmp_path)
        assert contents(found) == expected
