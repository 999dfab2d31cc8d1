"""The same pictures as label folders, a .lst file, MXNet's .rec file and a manifest are the same
samples in the same order, and train the same model."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.mxnet.records import write_records
from tests.trainer.conftest import write_digits
from tests.trainer.sagemaker.channel_folders import channels, contents, write_lists, write_manifests
from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.datasets.dataset import Dataset
from trainer.datasets.image_folder import read_image_folder
from trainer.fit import fit
from trainer.report import FinalMetrics
from trainer.sagemaker.classification_channels import read_classification
from trainer.settings import FitSettings

SPLITS = ("train", "validation")
WANTED = ClassificationHyperparameters(
    model="resnet-tiny", input_size=20, learning_rate=0.02, num_train_epochs=1, seed=3
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    data = tmp_path_factory.mktemp("digits")
    return read_image_folder(write_digits(data, {"train": 10, "validation": 4}))


def from_list(folder: Dataset, root: Path) -> Dataset:
    write_lists(folder, root)
    given = channels(folder.root, "application/x-image", *SPLITS)
    given |= channels(root, "application/x-image", "train_lst", "validation_lst")
    return read_classification(given, 4, multi_label=False, workspace=root)


def from_records(folder: Dataset, root: Path) -> Dataset:
    for split, samples in folder.splits.items():
        pairs = [(Path(str(one.path)), float(str(one.target))) for one in samples]
        write_records(root / split / f"{split}.rec", pairs)
    given = channels(root, "application/x-recordio", *SPLITS)
    return read_classification(given, 4, multi_label=False, workspace=root)


def from_manifest(folder: Dataset, root: Path) -> Dataset:
    write_manifests(folder, root, str)
    given = channels(root, "application/x-recordio", *SPLITS)
    return read_classification(given, 4, multi_label=False, workspace=root)


FORMATS = {"list": from_list, "records": from_records, "manifest": from_manifest}


def train(folder: Dataset, root: Path, dataset: Dataset | None = None) -> FinalMetrics:
    """What a small model reaches on a dataset, or on the folder as it is."""
    torch.set_num_threads(1)
    settings = FitSettings(
        task="image-classification",
        data=folder.root,
        model_repository=root / "repository",
        name="digits",
        output_dir=root / "run",
    )
    result = fit(settings, WANTED, None if dataset is None else lambda *_: dataset)
    assert result is not None
    assert result.metrics is not None
    return result.metrics


@pytest.fixture(scope="module")
def expected(folder: Dataset, tmp_path_factory: pytest.TempPathFactory) -> FinalMetrics:
    return train(folder, tmp_path_factory.mktemp("folder"))


@pytest.mark.parametrize("read", FORMATS.values(), ids=FORMATS)
def test_every_format_trains_the_same_model(
    folder: Dataset,
    expected: FinalMetrics,
    read: Callable[[Dataset, Path], Dataset],
    tmp_path: Path,
) -> None:
    dataset = read(folder, tmp_path)
    assert contents(dataset) == contents(folder)
    found = train(folder, tmp_path, dataset)
    assert found.splits == expected.splits
    assert [epoch["loss"] for epoch in found.epochs] == [e["loss"] for e in expected.epochs]
