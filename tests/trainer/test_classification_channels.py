"""Channels of image classification: SageMaker's formats give the samples that a folder of labels
gives, and what is wrong with a channel is one line each."""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.trainer.conftest import write_digits
from tests.trainer.recordio import frame
from trainer.datasets.dataset import Dataset
from trainer.datasets.image_folder import read_image_folder
from trainer.sagemaker.channels import Channel, read_classification

Samples = dict[str, list[tuple[bytes, object]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    data = tmp_path_factory.mktemp("digits")
    return read_image_folder(write_digits(data, {"train": 3, "validation": 2}))


def channel(folder: Path, content_type: str | None = None) -> Channel:
    return Channel(folder.name, folder, content_type, pipe=False, recordio_wrapper=False)


def channels(root: Path, content_type: str | None, *names: str) -> dict[str, Channel]:
    return {name: channel(root / name, content_type) for name in names}


def contents(dataset: Dataset) -> Samples:
    """What the samples hold, wherever they lie."""
    return {
        split: [(sample.path.read_bytes(), sample.target) for sample in samples]
        for split, samples in dataset.splits.items()
    }


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
