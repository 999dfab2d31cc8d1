"""Segmentation datasets that cannot be trained on get an answer that names what is wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainer.conftest import aperture_train, problems
from tests.trainer.segmentation_folders import (
    FAST,
    LABELS,
    entry,
    mask_image,
    write_blocks,
    write_labels,
    write_list,
)
from trainer.datasets.segmentation_folder import read_segmentation_folder, read_segmentation_split
from trainer.errors import DatasetError
from trainer.masks import MaskFile, ignored_id, read_mask
from trainer.tasks.segmentation import TASK


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blocks(tmp_path_factory.mktemp("blocks"))


@pytest.fixture
def data(blocks: Path, tmp_path: Path) -> Path:
    """A copy of the dataset to spoil."""
    return Path(shutil.copytree(blocks, tmp_path / "data"))


def refused(data: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> list[str]:
    """The answer to a fit on `data`, which must be refused before anything is published."""
    repository = data.parent / "repository"
    where = ("--data", str(data), "--model_repository", str(repository), "--name", "blocks")
    argv = ("fit", *where, "--output_dir", str(data.parent / "run"), *FAST, *flags)
    assert aperture_train(*argv) == 1
    assert not repository.exists()
    return problems(capsys.readouterr().err)


def test_splits_labels_and_masks_are_read(data: Path) -> None:
    dataset = read_segmentation_folder(data)
    assert dataset.labels == LABELS
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 16,
        "validation": 4,
        "test": 4,
    }
    assert dataset.problems == ()
    first = dataset.splits["train"][0]
    mask = data / "train" / "annotations" / "0000.png"
    assert first.files == (data / "train" / "images" / "0000.png", mask)
    assert first.target == MaskFile(mask, ignored=255)


def test_each_mode_of_a_mask_gives_the_same_ids(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 256, (5, 7)).astype(np.uint8)
    for mode in ("L", "P", "I;16"):
        mask_image(ids, mode).save(tmp_path / "mask.png")
        np.testing.assert_array_equal(read_mask((tmp_path / "mask.png").read_bytes()), ids)
    wide = ids.astype(np.uint16) * 200
    Image.fromarray(wide).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask((tmp_path / "mask.png").read_bytes()), wide)


def move_test_list(data: Path) -> None:
    (data / "test" / "test.json").rename(data / "test" / "train.json")


def respell_label_file(data: Path) -> None:
    (data / "resources" / "id2lable.json").rename(data / "resources" / "id2label.json")


def move_resources_inside(data: Path) -> None:
    (data / "resources").rename(data / "train" / "resources")


def nest_a_split(data: Path) -> None:
    (data / "validation").rename(data / "inner")
    (data / "validation").mkdir()
    (data / "inner").rename(data / "validation" / "validation")


@pytest.mark.parametrize(
    "change", [move_test_list, respell_label_file, move_resources_inside, nest_a_split]
)
def test_layouts_that_the_guide_leaves_open_are_all_read(
    data: Path, change: Callable[[Path], None]
) -> None:
    before = read_segmentation_folder(data)
    change(data)
    after = read_segmentation_folder(data)
    assert after.labels == before.labels
    assert {split: len(samples) for split, samples in after.splits.items()} == {
        split: len(samples) for split, samples in before.splits.items()
    }


def test_easymakers_spelling_of_the_label_file_comes_first(data: Path) -> None:
    (data / "resources" / "id2label.json").write_text('{"0": "other", "1": "names"}')
    assert read_segmentation_folder(data).labels == LABELS


@pytest.mark.parametrize("split", ["train", "validation"])
def test_missing_list_is_named(data: Path, capsys: pytest.CaptureFixture[str], split: str) -> None:
    (data / split / f"{split}.json").unlink()
    (line,) = refused(data, capsys)
    assert line.startswith(f"{data / split / split}.json: file is missing; expected DIR/{{train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{]", "is no JSON file: "),
        ("{}", 'holds no list of {"image", "seg_map"}'),
        ("[]", "the list is empty"),
        ('[{"image": "images/0000.png"}]', 'entry 0 is no {"image": path, "seg_map": path}'),
        ('["images/0000.png"]', 'entry 0 is no {"image": path, "seg_map": path}'),
        ('[{"image": 3, "seg_map": 4}]', 'entry 0 is no {"image": path, "seg_map": path}'),
        ('[{"image": "a", "seg_map": null}]', 'entry 0 is no {"image": path, "seg_map": path}'),
        ("null", 'holds no list of {"image", "seg_map"}'),
        ("", "is no JSON file: "),
        (100_000 * "[", "is no JSON file: "),
    ],
)
def test_malformed_list_is_named(
    data: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    path = data / "train" / "train.json"
    path.write_text(text)
    (line,) = refused(data, capsys)
    assert line.startswith(f"{path}: {message}")


@pytest.mark.parametrize("name", ["../../secret.png", "/etc/passwd", "images/../../../secret.png"])
def test_path_that_leads_out_of_the_dataset_is_refused(
    data: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = write_list(data, "train", [entry("0000.png"), {**entry("0001.png"), "seg_map": name}])
    (line,) = refused(data, capsys)
    assert line == f"{path}: entry 1: {name!r} leads out of the dataset's folder"


def test_path_to_another_folder_of_the_dataset_is_followed(data: Path) -> None:
    write_list(data, "train", [{"image": "../test/images/0000.png", **_mask_of_test()}])
    (sample,) = read_segmentation_folder(data).splits["train"]
    assert sample.path.read_bytes() == (data / "test" / "images" / "0000.png").read_bytes()


def _mask_of_test() -> dict[str, str]:
    return {"seg_map": "../test/annotations/0000.png"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"0": "a",', "is no JSON file: "),
        ("", "is no JSON file: "),
        (100_000 * '{"0":', "is no JSON file: "),
        ("3", 'holds no JSON object such as {"0": "background"}'),
        (f'{{"0": "a", "{5000 * "1"}": "b"}}', "id '1111"),
        ('["a", "b"]', 'holds no JSON object such as {"0": "background"}'),
        ('{"0": "a"}', "1 labels; expected at least 2"),
        ('{"0": "a", "one": "b"}', "id 'one'; expected a whole number from 0 to 4095"),
        ('{"0": "a", "-1": "b"}', "id '-1'; expected a whole number from 0 to 4095"),
        ('{"0": "a", "70000": "b"}', "id '70000'; expected a whole number from 0 to 4095"),
        ('{"0": "a", "1": "b", "1": "c"}', "id 1 occurs twice"),
        ('{"0": "a", "1": 7}', "the label of id 1 is 7; expected text"),
        ('{"0": "a", "1": "a"}', "names ['a'] more than once"),
    ],
)
def test_malformed_label_file_is_named(
    data: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    path = data / "resources" / "id2lable.json"
    path.write_text(text)
    assert f"{path}: {message}" in refused(data, capsys)[0]


def test_text_that_is_not_utf_8_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (data / "train" / "train.json", data / "resources" / "id2lable.json"):
        path.write_bytes(b'["\xff"]')
    lines = refused(data, capsys)
    assert [line.partition(": ")[0].rpartition("/")[2] for line in lines] == [
        "id2lable.json",
        "train.json",
    ]
    assert all("is no JSON file: 'utf-8' codec can't decode" in line for line in lines)


@pytest.mark.parametrize("name", ["images", "", "a\0b", "images/0000.png/more"])
def test_path_that_is_no_file_is_a_missing_file(data: Path, name: str) -> None:
    write_list(data, "train", [entry("0000.png"), {**entry("0001.png"), "image": name}])
    (problem,) = read_segmentation_folder(data).problems
    assert problem.reason == "file is missing; entry 1 of train.json names it"


def test_path_that_is_too_long_is_listed_with_the_other_faults(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "images/" + "a" * 300 + ".png"
    write_list(data, "train", [entry("0000.png"), {**entry("0001.png"), "image": name}])
    (data / "validation" / "images" / "0002.png").unlink()
    assert refused(data, capsys)[:2] == [
        f"{data / 'train' / name}: cannot be opened: File name too long; entry 1 of train.json "
        "names it",
        f"{data / 'validation' / 'images' / '0002.png'}: file is missing; entry 2 of "
        "validation.json names it",
    ]


def test_missing_label_file_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(data / "resources")
    (line,) = refused(data, capsys)
    path = data / "resources" / "id2lable.json"
    assert line == f"{path}: file is missing, and id2label.json too"


def spoil_size(mask: Path) -> None:
    Image.new("L", (56, 80)).save(mask)


def spoil_ids(mask: Path) -> None:
    ids = np.zeros((56, 80), np.uint8)
    ids[0, :3], ids[1, :2] = 7, 255
    Image.fromarray(ids).save(mask)


def spoil_mode(mask: Path) -> None:
    Image.new("RGB", (80, 56)).save(mask)


def spoil_depth(mask: Path) -> None:
    Image.new("1", (80, 56)).save(mask)


def spoil_format(mask: Path) -> None:
    Image.new("L", (80, 56)).save(mask, "BMP")


def spoil_end(mask: Path) -> None:
    mask.write_bytes(mask.read_bytes()[:-60])


def empty(mask: Path) -> None:
    mask.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            spoil_size,
            "mask of 56 x 80 pixels for the picture 0002.png of 80 x 56 pixels, as it stands "
            "upright",
        ),
        (
            spoil_ids,
            "mask holds ids without a label: 7 (3 pixels); the labels' ids are 0-2, and 255 is "
            "ignored",
        ),
        (spoil_mode, "mask is RGB; expected grey of 8 or 16 bits, or a palette, of label ids"),
        (spoil_depth, "mask is grey of 1 bit a pixel; expected grey of 8 or 16 bits, or"),
        (spoil_format, "bytes that are no PNG file; expected a mask as PNG"),
        (spoil_end, "broken PNG picture: "),
        (empty, "zero bytes"),
        (Path.unlink, "file is missing; entry 2 of train.json names it"),
    ],
)
def test_mask_that_cannot_be_used_is_named(
    data: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    message: str,
) -> None:
    mask = data / "train" / "annotations" / "0002.png"
    spoil(mask)
    line, *_, advice = refused(data, capsys)
    assert line.startswith(f"{mask}: ")
    assert message in line
    assert advice.startswith("1 bad files; remove or replace them, or skip them with --skip_bad")


def test_everything_that_is_wrong_with_files_is_listed_at_once(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil_ids(data / "test" / "annotations" / "0001.png")
    spoil_size(data / "train" / "annotations" / "0003.png")
    (data / "train" / "images" / "0004.png").unlink()
    (data / "validation" / "images" / "0000.png").write_bytes(b"")
    lines = refused(data, capsys)
    assert [line.partition(": ")[0] for line in lines[:-1]] == [
        str(data / "test" / "annotations" / "0001.png"),
        str(data / "train" / "annotations" / "0003.png"),
        str(data / "train" / "images" / "0004.png"),
        str(data / "validation" / "images" / "0000.png"),
    ]


def test_faults_of_all_lists_and_of_the_labels_are_listed_at_once(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "train" / "train.json").unlink()
    (data / "test" / "test.json").write_text("x")
    (data / "resources" / "id2lable.json").write_text("x")
    lines = refused(data, capsys)
    assert [Path(line.partition(": ")[0]).name for line in lines] == [
        "id2lable.json",
        "train.json",
        "test.json",
    ]


def test_no_usable_training_picture_is_refused_even_when_skipping(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(data / "train" / "annotations")
    assert refused(data, capsys, "--skip_bad_images") == [
        f"{data / 'train'}: holds no usable picture"
    ]


def test_training_masks_that_are_ignored_everywhere_are_refused(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = sorted((data / "train" / "annotations").iterdir())
    for mask in masks:
        Image.new("L", (80, 56), 255).save(mask)
    assert refused(data, capsys) == [
        f"{data / 'train'}: each pixel of each usable mask is 255, which is ignored; expected at "
        "least one of a label"
    ]
    ids = np.full((56, 80), 255, np.uint8)
    ids[3, 4] = 0
    Image.fromarray(ids).save(masks[-1])
    assert TASK.faults(read_segmentation_folder(data)) == []
    write_labels(data, {0: "ground", 255: "border"})
    masks[-1].write_bytes(masks[0].read_bytes())
    assert TASK.faults(read_segmentation_folder(data)) == []  # 255 is a label


def test_mask_is_compared_with_the_upright_picture(data: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    target = data / "train" / "images" / "0000.png"
    Image.new("RGB", (56, 80)).save(target, "JPEG", exif=exif)
    assert read_segmentation_folder(data).problems == ()
    Image.new("RGB", (80, 56)).save(target, "JPEG", exif=exif)
    (problem,) = read_segmentation_folder(data).problems
    assert "mask of 80 x 56 pixels for the picture 0000.png of 56 x 80" in problem.reason


def test_255_is_ignored_unless_it_is_a_label(data: Path) -> None:
    assert ignored_id(LABELS) == 255
    write_labels(data, {**dict(enumerate(LABELS)), 255: "border"})
    dataset = read_segmentation_folder(data)
    assert len(dataset.labels) == 256
    assert dataset.labels[255] == "border"
    assert ignored_id(dataset.labels) is None
    assert dataset.splits["train"][0].target == MaskFile(
        data / "train" / "annotations" / "0000.png", ignored=None
    )


def test_gap_in_the_ids_is_a_warning_and_its_ids_are_no_labels(data: Path) -> None:
    write_labels(data, {0: "ground", 1: "red", 3: "blue"})
    dataset = read_segmentation_folder(data)
    assert dataset.labels == ("ground", "red", "unnamed-2", "blue")
    assert "id 2 has no label" in dataset.warnings[0]
    assert "2 (" in dataset.problems[0].reason
    assert "the labels' ids are 0-1, 3, and 255" in dataset.problems[0].reason


def test_split_whose_labels_differ_from_the_models_is_refused(data: Path) -> None:
    with pytest.raises(DatasetError, match=r"names the ids ground, red, blue; the model's labels"):
        read_segmentation_split(data, "test", ("a", "b", "c"))
    shutil.rmtree(data / "resources")
    assert len(read_segmentation_split(data, "test", ("a", "b", "c")).samples) == 4
    with pytest.raises(DatasetError, match=r"test.json: file is missing"):
        read_segmentation_split(data / "train", "test", LABELS)


def test_lists_may_begin_with_a_byte_order_mark(data: Path) -> None:
    path = data / "train" / "train.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps([entry("0000.png")]).encode())
    assert len(read_segmentation_folder(data).splits["train"]) == 1
