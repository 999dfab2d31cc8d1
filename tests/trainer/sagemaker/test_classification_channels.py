"""Channels of image classification: SageMaker's formats give the samples that a folder of labels
gives, and what is wrong with a channel is one line each."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.conftest import write_digits
from tests.trainer.recordio import frame, image_record
from tests.trainer.sagemaker.channel_folders import (
    channels,
    contents,
    send,
    write_lists,
    write_manifests,
)
from trainer.datasets.dataset import Dataset
from trainer.datasets.image_folder import read_image_folder
from trainer.errors import DatasetError
from trainer.sagemaker.channel import Channel
from trainer.sagemaker.classification_channels import read_classification
from trainer.tasks import load_task


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    data = tmp_path_factory.mktemp("digits")
    return read_image_folder(write_digits(data, {"train": 3, "validation": 2}))


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


@pytest.mark.parametrize(("split", "lines"), [("train", (6, 9)), ("validation", (4, 6))])
def test_a_class_of_two_names_is_refused_with_both(
    folder: Dataset, tmp_path: Path, split: str, lines: tuple[int, int]
) -> None:
    write_manifests(folder, tmp_path, int)
    path = tmp_path / split / f"{split}.manifest"
    texts = path.read_text().splitlines()
    for line, old, new in zip(lines, ("digit 1", "digit 2"), ("digit 2", "digit 1"), strict=True):
        texts[line - 1] = texts[line - 1].replace(old, new)
    path.write_text("\n".join(texts))
    first = f"{tmp_path}/train/train.manifest line"
    advice = "a class has one name, the same in training and validation"
    assert refused(channels(tmp_path, None, "train", "validation"), tmp_path) == (
        f"{path} line {lines[0]}: class 1 is named 'digit 2', but 'digit 1' in {first} 4; {advice}",
        f"{path} line {lines[1]}: class 2 is named 'digit 1', but 'digit 2' in {first} 7; {advice}",
    )


def test_names_that_only_the_validation_knows_count(folder: Dataset, tmp_path: Path) -> None:
    write_manifests(folder, tmp_path, float)
    path = tmp_path / "train" / "train.manifest"
    lines = [line for line in path.read_text().splitlines() if "digit 3" not in line]
    path.write_text("\n".join(lines))
    given = channels(tmp_path, None, "train", "validation")
    found = read_classification(given, 4, multi_label=False, workspace=tmp_path)
    assert found.labels == ("digit 0", "digit 1", "digit 2", "digit 3")


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


def refused(given: dict[str, Channel], root: Path, num_classes: int = 4) -> tuple[str, ...]:
    with pytest.raises(DatasetError) as caught:
        read_classification(given, num_classes, multi_label=False, workspace=root / "workspace")
    return caught.value.problems


def test_classes_beyond_num_classes_are_told_by_their_place(
    folder: Dataset, tmp_path: Path
) -> None:
    splits = ("train", "validation")
    told = "got the class 3, expected a whole number from 0 to 2 (num_classes is 3)"
    write_records(folder, tmp_path, lambda index: [index])
    lines = refused(channels(tmp_path, None, *splits), tmp_path, num_classes=3)
    assert lines[0] == f"{tmp_path}/train/train_1.rec record 3: {told}"
    assert len(lines) == 3 + 2
    write_lists(folder, tmp_path)
    given = channels(folder.root, None, *splits)
    given |= channels(tmp_path, None, "train_lst", "validation_lst")
    lines = refused(given, tmp_path, num_classes=3)
    assert lines[0] == f"{tmp_path}/train_lst/train.lst line 10: {told}"
    write_manifests(folder, tmp_path / "manifests", lambda index: index)
    lines = refused(channels(tmp_path / "manifests", None, *splits), tmp_path, num_classes=3)
    assert lines[0] == f"{tmp_path}/manifests/train/train.manifest line 10: {told}"


def test_hidden_files_and_those_of_hidden_folders_do_not_count(
    folder: Dataset, tmp_path: Path
) -> None:
    write_lists(folder, tmp_path)
    for name in (".ipynb_checkpoints/train-checkpoint.lst", ".train.lst"):
        path = tmp_path / "train_lst" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("no list")
    given = channels(folder.root, None, "train", "validation")
    given |= channels(tmp_path, None, "train_lst", "validation_lst")
    found = read_classification(given, 4, multi_label=False, workspace=tmp_path)
    assert contents(found) == contents(folder)


def test_a_channel_may_lie_in_a_hidden_folder(folder: Dataset, tmp_path: Path) -> None:
    write_records(folder, tmp_path / ".job", label=lambda index: [index])
    given = channels(tmp_path / ".job", None, "train", "validation")
    found = read_classification(given, 4, multi_label=False, workspace=tmp_path)
    assert contents(found) == contents(folder)


def test_classes_that_no_picture_shows_are_kept_and_told(folder: Dataset, tmp_path: Path) -> None:
    write_records(folder, tmp_path, lambda index: [index])
    given = channels(tmp_path, None, "train", "validation")
    found = read_classification(given, 6, multi_label=False, workspace=tmp_path)
    assert found.labels == tuple("012345")
    assert found.warnings == (
        "channel train: no picture of 2 classes: 4, 5",
        "channel validation: no picture of 2 classes: 4, 5",
    )
    assert load_task("image-classification").faults(found) == []


def test_classes_that_every_picture_shows_are_told(folder: Dataset, tmp_path: Path) -> None:
    write_records(folder, tmp_path, lambda index: [0, 1, int(index == 2), int(index == 3)])
    given = channels(tmp_path, None, "train", "validation")
    found = read_classification(given, 4, multi_label=True, workspace=tmp_path)
    assert found.warnings == tuple(
        told
        for split in ("train", "validation")
        for told in (
            f"channel {split}: no picture of 1 classes: 0",
            f"channel {split}: no picture without 1 classes: 1",
        )
    )


def test_channels_that_are_missing_the_same_or_of_another_content_are_told(
    folder: Dataset, tmp_path: Path
) -> None:
    both = channels(folder.root, "application/x-image", "train", "validation")
    train = both["train"]
    assert refused({"train": train}, tmp_path) == (
        "channel 'validation' is missing; got the channels train",
    )
    assert refused({**both, "validation": replace(train, name="validation")}, tmp_path) == (
        f"{train.folder}: is both channels train and validation; training and validation data "
        "have to lie in different folders",
    )
    assert refused(both, tmp_path) == (
        "channel 'train_lst' is missing; got the channels train, validation",
    )
    text = {**both, "train": replace(train, content_type="text/csv")}
    assert refused(text, tmp_path) == (
        "channel train: got the content type 'text/csv', expected application/x-recordio or "
        "application/x-image",
    )
    pipe = {**both, "train": replace(train, pipe=True)}
    assert refused(pipe, tmp_path) == (
        "channel train: got application/x-image in a pipe without records; expected "
        "application/x-recordio, or RecordWrapperType RecordIO",
    )
    records = {**both, "train": replace(train, content_type="application/x-recordio")}
    [told] = refused(records, tmp_path)
    assert told.startswith(f"{train.folder}: the channel train has to hold .rec files; got 000.png")
    kind = "application/x-recordio; label-format=one-hot"
    assert refused({**both, "train": replace(train, content_type=kind)}, tmp_path) == (
        "channel train: got label-format=one-hot in the content type, expected multi-hot or "
        "class-id",
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1\t0", "got 2 fields ['1', '0'], expected lines of index, label and relative path"),
        ("1 0 a.png", "got 1 fields ['1 0 a.png'], expected lines of"),
        ("1\tcat\ta.png", "label is no number: could not convert string to float: 'cat'"),
        ("1\t0\t../../a.png", "'../../a.png' leads out of "),
        ("1\t0\t/etc/passwd", "'/etc/passwd' leads out of "),
        ("1\t0\ta\0.png", "got the path 'a\\x00.png', expected one without a zero byte"),
        ("1\t0.5\ta.png", "got the class 0.5, expected a whole number from 0 to 3"),
        ("1\tnan\ta.png", "got the class nan, expected a whole number"),
        ("1\t-1\ta.png", "got the class -1, expected a whole number"),
        (f"{'9' * 5000}\t0\ta.png", "got 3 fields ['99999"),
        ("1\t1\t0\ta.png", "got 2 labels, expected one; several need multi_label"),
        ("0\t0\ta.png", "index 0 is that of line 1 already"),
    ],
)
def test_lines_of_a_list_that_mean_nothing_are_told(
    folder: Dataset, tmp_path: Path, line: str, told: str
) -> None:
    write_lists(folder, tmp_path)
    path = tmp_path / "train_lst" / "train.lst"
    path.write_text(f"0\t0\t0/000.png\n{line}\n")
    given = channels(folder.root, None, "train", "validation")
    given |= channels(tmp_path, None, "train_lst", "validation_lst")
    [fault] = refused(given, tmp_path)
    assert fault.startswith(f"{path} line 2: {told}")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "is no JSON: "),
        ("[1]", "is no JSON object such as "),
        ('{"source-ref": "a.png"}', "got the attributes source-ref, expected text in source-ref"),
        ('{"source-ref": 1, "class": 0}', "got the attributes source-ref, class, expected text in"),
        ('{"source-ref": "http://x/a.png", "class": 0}', "got 'http://x/a.png', expected s3://"),
        (
            '{"source-ref": "s3://bucket", "class": 0}',
            "got 's3://bucket', expected s3://BUCKET/KEY",
        ),
        ('{"source-ref": "../../a.png", "class": 0}', "'../../a.png' leads out of "),
        ('{"source-ref": "a.png", "class": "cat"}', "got 'cat', expected a number or a list"),
        (f'{{"source-ref": "a.png", "class": 1{"0" * 400}}}', "got the class 1000000"),
        (f'{{"source-ref": "a.png", "class": "[1{"0" * 400}]"}}', "got the class 1000000"),
        (f'{{"source-ref": "a.png", "class": 1{"0" * 5000}}}', "is no JSON: "),
        ('{"source-ref": "a.png", "class": "NaN"}', "got the class nan, expected"),
        ('{"source-ref": "a.png", "class": true}', "got 'True', expected a class index"),
        ('{"source-ref": "a.png", "class": [1, 0, 0, 0]}', "got 4 labels, expected one; several"),
    ],
)
def test_lines_of_a_manifest_that_mean_nothing_are_told(
    folder: Dataset, tmp_path: Path, line: str, told: str
) -> None:
    write_manifests(folder, tmp_path, int)
    path = tmp_path / "train" / "train.manifest"
    first = json.dumps({"source-ref": str(folder.samples[0].path), "class": 0})
    path.write_text(f"{first}\n\n{line}\n")
    [fault] = refused(channels(tmp_path, None, "train", "validation"), tmp_path)
    assert fault.startswith(f"{path} line 3: {told}")


def test_every_line_of_a_manifest_that_means_nothing_is_told(
    folder: Dataset, tmp_path: Path
) -> None:
    write_manifests(folder, tmp_path, int)
    path = tmp_path / "train" / "train.manifest"
    whole = path.read_text().splitlines()[0]
    path.write_text(f'[1]\n{{"x": 1}}\n{{"y": 1}}\n{whole}\n{{"class": 1}}\n')
    plain = "of which it is not plain which are the picture and its annotation"
    told = refused(channels(tmp_path, None, "train", "validation"), tmp_path)
    for line, (number, begin) in zip(
        told,
        [
            (1, "is no JSON object such as"),
            (2, f"got the attributes x, {plain}"),
            (3, f"got the attributes y, {plain}"),
            (5, "got the attributes class, expected text in source-ref"),
        ],
        strict=True,
    ):
        assert line.startswith(f"{path} line {number}: {begin}")


def test_a_line_that_is_too_long_is_told_after_those_before_it(
    folder: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.datasets.augmented_manifest.LARGEST_LINE_BYTES", 20)
    write_manifests(folder, tmp_path, int)
    path = tmp_path / "train" / "train.manifest"
    path.write_text(f"[1]\n{'x' * 21}\n")
    first, second = refused(channels(tmp_path, None, "train", "validation"), tmp_path)
    assert first.startswith(f"{path} line 1: is no JSON object")
    assert second == f"{path} line 2: is too long; expected at most 20 bytes"


def test_attributes_that_are_not_plain_have_to_be_named(folder: Dataset, tmp_path: Path) -> None:
    write_manifests(folder, tmp_path, int)
    path = tmp_path / "train" / "train.manifest"
    line = {"image-ref": str(folder.samples[0].path), "class": 0, "other": 1}
    path.write_text(json.dumps(line))
    given = channels(tmp_path, None, "train", "validation")
    assert refused(given, tmp_path) == (
        f"{path} line 1: got the attributes image-ref, class, other, of which it is not plain "
        "which are the picture and its annotation; name both with AttributeNames",
    )
    given["train"] = replace(given["train"], attribute_names=("image-ref", "class"))
    found = read_classification(given, 4, multi_label=False, workspace=tmp_path)
    assert contents(found)["train"] == contents(folder)["train"][:1]
    given["train"] = replace(given["train"], attribute_names=("image-ref",))
    assert refused(given, tmp_path) == (
        f"{path}: got the AttributeNames image-ref, expected two: the picture's and its "
        "annotation's",
    )


def test_missing_pictures_are_problems_and_not_samples(folder: Dataset, tmp_path: Path) -> None:
    write_lists(folder, tmp_path)
    with (tmp_path / "train_lst" / "train.lst").open("a") as file:
        file.write("999\t0\t0/missing.png\n")
    given = channels(folder.root, None, "train", "validation")
    given |= channels(tmp_path, None, "train_lst", "validation_lst")
    found = read_classification(given, 4, multi_label=False, workspace=tmp_path)
    assert list(map(str, found.problems)) == [
        f"{folder.root}/train/0/missing.png: file is missing; {tmp_path}/train_lst/train.lst line "
        "13 names it"
    ]
    assert contents(found) == contents(folder)


def test_a_manifest_of_another_suffix_is_named(folder: Dataset, tmp_path: Path) -> None:
    write_manifests(folder, tmp_path, int)
    (tmp_path / "train" / "train.manifest").rename(tmp_path / "train" / "train.json")
    given = channels(tmp_path, "application/x-image", "train", "validation")
    assert refused(given, tmp_path) == (
        "channel 'train_lst' is missing; a manifest in its place is a .manifest or .jsonl file in "
        "channel train; got train.json",
    )


def test_a_pipe_has_two_attributes(tmp_path: Path) -> None:
    one = channels(tmp_path, "application/x-recordio", "train", "validation")
    names = ("source-ref", "class", "class-metadata")
    given = {
        name: replace(c, pipe=True, recordio_wrapper=True, attribute_names=names)
        for name, c in one.items()
    }
    assert refused(given, tmp_path) == (
        "channel train: got the AttributeNames source-ref, class, class-metadata, expected two: the "
        "picture's and its annotation's",
    )


def test_a_picture_and_a_label_of_a_pipe_come_in_pairs(folder: Dataset, tmp_path: Path) -> None:
    one = channels(tmp_path, "application/x-recordio", "train", "validation")
    given = {name: replace(c, pipe=True, recordio_wrapper=True) for name, c in one.items()}
    send(given["train"], frame(b"picture") + frame(b"0") + frame(b"picture"))
    workspace = tmp_path / "workspace"
    assert refused(given, tmp_path) == (
        f"{workspace}/train.rec: got 3 records, expected an annotation after each picture",
    )
