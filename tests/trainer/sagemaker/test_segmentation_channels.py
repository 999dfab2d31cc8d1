"""Channels of semantic segmentation: pictures and annotations in pairs, by manifests and by pipes,
with the label maps of SageMaker's documents."""

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.trainer.recordio import frame
from tests.trainer.sagemaker.channel_folders import channel, channels, send
from tests.trainer.segmentation_folders import mask_image, write_blocks
from trainer.datasets.dataset import Dataset
from trainer.datasets.segmentation_folder import read_segmentation_folder
from trainer.datasets.value_map import read_value_map
from trainer.errors import BadChannel, DatasetError
from trainer.fit import fit
from trainer.masks import MaskFile
from trainer.sagemaker.channel import Channel
from trainer.sagemaker.segmentation_channels import read_segmentation
from trainer.segmentation_hyperparameters import SegmentationHyperparameters
from trainer.settings import FitSettings

SPLITS = ("train", "validation")
NAMES = [f"{split}{kind}" for split in SPLITS for kind in ("", "_annotation")]


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_segmentation_folder(write_blocks(tmp_path_factory.mktemp("blocks")))


@pytest.fixture
def root(blocks: Dataset, tmp_path: Path) -> Path:
    """The same pictures in SageMaker's four folders."""
    for split in SPLITS:
        for kind, name in (("images", split), ("annotations", f"{split}_annotation")):
            target = tmp_path / name
            target.mkdir()
            for path in (blocks.root / split / kind).iterdir():
                target.joinpath(path.name).write_bytes(path.read_bytes())
    return tmp_path


def given(root: Path) -> dict[str, Channel]:
    return channels(root, "application/x-image", *NAMES)


def read(given: dict[str, Channel], root: Path, num_classes: int = 3) -> Dataset:
    return read_segmentation(given, num_classes, root / "workspace")


def ids(dataset: Dataset) -> dict[str, list[tuple[bytes, bytes]]]:
    """Each picture's bytes and the label ids of its pixels."""
    return {
        split: [
            (sample.path.read_bytes(), mask(dataset, split, n).tobytes())
            for n, sample in enumerate(dataset.splits[split])
        ]
        for split in SPLITS
    }


def mask(dataset: Dataset, split: str, index: int) -> np.ndarray:
    target = dataset.splits[split][index].target
    assert isinstance(target, MaskFile)
    return target.read()


def write_map(root: Path, split: str, content: object) -> Channel:
    folder = root / "label_map"
    folder.mkdir(exist_ok=True)
    (folder / f"{split}_label_map.json").write_text(json.dumps(content))
    return channel(folder)


def test_four_folders_hold_the_pairs_of_the_lists(blocks: Dataset, root: Path) -> None:
    found = read(given(root), root)
    assert ids(found) == ids(blocks)
    assert (found.labels, found.problems, found.warnings) == (("0", "1", "2"), (), ())


@pytest.mark.parametrize("metadata", ["blocks-metadata", "blocks-ref-metadata"])
def test_manifests_and_their_pipes_hold_the_pairs_of_the_lists(
    blocks: Dataset, tmp_path: Path, metadata: str
) -> None:
    by_manifest, by_pipe = {}, {}
    for split in SPLITS:
        lines, stream = [], b""
        for sample in blocks.splits[split]:
            refs = {"source-ref": str(sample.path), "blocks-ref": f"file://{sample.companions[0]}"}
            names = {str(n): {"class-name": name} for n, name in enumerate(blocks.labels)}
            lines.append({**refs, metadata: {"internal-color-map": names}})
            stream += b"".join(frame(file.read_bytes()) for file in sample.files)
        (tmp_path / split).mkdir()
        manifest = "\n".join(map(json.dumps, lines))
        (tmp_path / split / "output.manifest").write_text(manifest)
        by_manifest[split] = channel(tmp_path / split, "application/x-recordio")
        by_pipe[split] = replace(
            by_manifest[split], folder=tmp_path / "pipe" / split, pipe=True, recordio_wrapper=True
        )
        send(by_pipe[split], stream)
    found = read(by_manifest, tmp_path)
    assert ids(found) == ids(blocks)
    assert found.labels == blocks.labels
    found = read(by_pipe, tmp_path)
    assert ids(found) == ids(blocks)
    assert (found.labels, found.problems) == (("0", "1", "2"), ())


def test_a_label_that_the_validation_names_otherwise_is_refused(
    blocks: Dataset, tmp_path: Path
) -> None:
    manifests = {}
    for split, names in (("train", ("sky", "road", "car")), ("validation", ("sky", "car", "road"))):
        colours = {str(n): {"class-name": name} for n, name in enumerate(names)}
        sample = blocks.splits[split][0]
        refs = {"source-ref": str(sample.path), "blocks-ref": f"file://{sample.companions[0]}"}
        line = {**refs, "blocks-metadata": {"internal-color-map": colours}}
        (tmp_path / split).mkdir()
        (tmp_path / split / "output.manifest").write_text(json.dumps(line))
        manifests[split] = channel(tmp_path / split)
    with pytest.raises(DatasetError) as caught:
        read(manifests, tmp_path)
    assert [problem.partition(" line 1: ")[2] for problem in caught.value.problems] == [
        f"class {label} is named {other!r}, but {name!r} in {tmp_path}/train/output.manifest line 1; "
        "a class has one name, the same in training and validation"
        for label, name, other in ((1, "road", "car"), (2, "car", "road"))
    ]


@pytest.mark.parametrize(
    ("content", "encoded", "mapped"),
    [
        # The three examples of SageMaker's document.
        ({"scale": "1"}, [0, 1, 2], [0, 1, 2]),
        ({"scale": "3"}, [0, 3, 6], [0, 1, 2]),
        ({"map": {"0": 5, "1": 0, "2": 2}}, [0, 5, 2], [1, 0, 2]),
        # What it leaves open.
        ({"scale": 3}, [0, 1, 2, 3, 5, 8, 255], [0, 0, 0, 1, 1, 2, 255]),
        ({"scale": "127.5"}, [127, 128, 254, 255], [0, 1, 1, 255]),
        ({"map": {"0": "5", "1": 255}}, [5, 255], [0, 1]),
    ],
)
def test_label_maps_mean_what_sagemakers_document_says(
    root: Path, content: object, encoded: list[int], mapped: list[int]
) -> None:
    values = np.array([encoded], np.uint8)
    picture, path = root / "train" / "0000.png", root / "train_annotation" / "0000.png"
    for mode in ("L", "P"):
        mask_image(values, mode).save(path)
        Image.new("RGB", (len(encoded), 1)).save(picture)
        maps = write_map(root, "train", content)
        found = read(given(root) | {"label_map": maps}, root)
        assert mask(found, "train", 0).tolist() == [mapped]
    untouched = found.splits["validation"][0].target
    assert isinstance(untouched, MaskFile)
    assert untouched.id_of is None, "the validation has no file, so its values are labels"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((), "none"),
        (("label_map.json", "notes.txt"), "label_map.json, notes.txt"),
        (
            ("train_label_map.json", "val_label_map.json"),
            "train_label_map.json, val_label_map.json",
        ),
        (("maps/train_label_map.json",), "maps/train_label_map.json"),
    ],
)
def test_a_label_map_of_another_name_is_refused(
    root: Path, names: tuple[str, ...], told: str
) -> None:
    maps = channel(root / "label_map")
    maps.folder.mkdir()
    for name in names:
        (maps.folder / name).parent.mkdir(exist_ok=True)
        (maps.folder / name).write_text('{"scale": "3"}')
    with pytest.raises(DatasetError) as caught:
        read(given(root) | {"label_map": maps}, root)
    assert caught.value.problems == (
        f"{maps.folder}: the channel label_map has to hold train_label_map.json or "
        f"validation_label_map.json, or both; got {told}",
    )


def test_values_that_a_map_does_not_name_are_ignored_and_told(root: Path) -> None:
    maps = write_map(root, "train", {"map": {"0": 0, "1": 2}})
    found = read(given(root) | {"label_map": maps}, root)
    assert found.warnings == (
        "train_label_map.json: 16 annotations hold values that the map does not name, which are "
        "ignored: 1",
    )
    assert set(np.unique(mask(found, "train", 0))) == {0, 1, 255}
    assert found.problems == ()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"scale": "1", "map": {"0": 1}}, "has both scale and map; expected "),
        ({}, 'got {}, expected {"scale": "1"}, or {"map"'),
        ([], "got [], expected"),
        ({"map": {}}, "got {'map': {}}, expected"),
        ({"scale": 0}, "scale: got 0, expected a number from 1"),
        ({"scale": "nan"}, "scale: got 'nan', expected"),
        ({"scale": "1/0"}, "scale: got '1/0', expected"),
        ({"map": {"0": 5, "1": 5}}, "map: labels 0 and 1 are both 5"),
        ({"map": {"0": 256}}, "map: got '0': 256, expected a label from 0 to 254 and the value"),
        ({"map": {"255": 0}}, "map: got '255': 0, expected"),
        ({"map": {"a": True}}, "map: got 'a': True, expected"),
        ({"map": {"0": 5, "00": 6}}, "map: label 0 occurs twice, expected once"),
        ('{"map": {"0": 5, "0": 6, "1": 0}}', "'0' occurs twice, expected once"),
        ('{"scale": 2, "scale": 3}', "'scale' occurs twice, expected once"),
    ],
)
def test_label_maps_that_mean_nothing_are_refused(
    tmp_path: Path, content: object, told: str
) -> None:
    path = tmp_path / "train_label_map.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DatasetError) as caught:
        read_value_map(path)
    assert str(caught.value).startswith(f"{path}: {told}")


def test_files_without_a_partner_and_labels_beyond_the_classes_are_told(root: Path) -> None:
    (root / "train" / "0003.png").unlink()
    (root / "train_annotation" / "0005.png").unlink()
    Image.new("L", (80, 56), 7).save(root / "train_annotation" / "0001.png")
    found = read(given(root), root)
    assert found.warnings == (f"{root / 'train_annotation'}: 1 annotations have no picture",)
    assert list(map(str, found.problems)) == [
        f"{root}/train/0005.png: has no annotation; expected {root}/train_annotation/0005.png",
        f"{root}/train_annotation/0001.png: mask holds ids without a label: 7 (4480 pixels); the "
        "labels' ids are 0-2, and 255 is ignored",
    ]
    assert len(found.splits["train"]) == 14


@pytest.mark.parametrize("pipes", [NAMES, ["train"], ["train_annotation"]])
def test_pairs_of_folders_do_not_come_through_pipes(root: Path, pipes: list[str]) -> None:
    some = {
        name: replace(one, pipe=name in pipes, folder=root / ("pipe" if name in pipes else name))
        for name, one in given(root).items()
    }
    for name in pipes:
        some[name] = replace(some[name], folder=root / "pipe" / name)
    with pytest.raises(BadChannel) as caught:
        read(some, root)
    assert str(caught.value) == (
        f"channel {pipes[0]}: got application/x-image in a pipe without records of an augmented "
        "manifest; expected RecordWrapperType RecordIO or AttributeNames, or TrainingInputMode File"
    )


def test_missing_channels_are_named(root: Path) -> None:
    for missing in NAMES:
        some = {name: one for name, one in given(root).items() if name != missing}
        with pytest.raises(DatasetError) as caught:
            read(some, root)
        names = ", ".join(sorted(some))
        assert str(caught.value) == f"channel '{missing}' is missing; got the channels {names}"


def reached(blocks: Dataset, root: Path, dataset: Dataset | None = None) -> dict[str, float]:
    """What a small model reaches on the validation pictures after an epoch."""
    torch.set_num_threads(1)
    settings = FitSettings(
        task="semantic-segmentation",
        data=blocks.root,
        model_repository=root / "repository",
        name="blocks",
        output_dir=root / "run",
    )
    wanted = SegmentationHyperparameters(
        model="segformer-tiny", input_size=64, learning_rate=0.003, num_train_epochs=1, seed=1
    )
    result = fit(settings, wanted, None if dataset is None else lambda *_: dataset)
    assert result is not None
    assert result.metrics is not None
    metrics = result.metrics.splits["validation"]
    return {name: metrics[name] for name in ("mean_iou", "mean_accuracy", "overall_accuracy")}


def test_scaled_masks_from_a_pipe_train_the_model_of_the_lists(
    blocks: Dataset, tmp_path: Path
) -> None:
    maps = channel(tmp_path / "label_map")
    maps.folder.mkdir()
    given = {"label_map": maps}
    for split in SPLITS:
        (maps.folder / f"{split}_label_map.json").write_text('{"scale": "3"}')
        one = channel(tmp_path / "pipe" / split, "application/x-recordio")
        given[split] = replace(one, pipe=True, recordio_wrapper=True)
        stream = b""
        for index, sample in enumerate(blocks.splits[split]):
            labels = mask(blocks, split, index)
            values = np.where(labels == 255, 255, labels * 3 + 1).astype(np.uint8)
            file = BytesIO()
            Image.fromarray(values).save(file, "PNG")
            stream += frame(sample.path.read_bytes()) + frame(file.getvalue())
        send(given[split], stream)
    found = reached(blocks, tmp_path / "ours", read(given, tmp_path))
    assert found == reached(blocks, tmp_path / "theirs")
