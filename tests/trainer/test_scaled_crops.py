"""A training's random squares: of the picture and of its mask alike, and the same for the same key."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from contract.options import build
from tests.trainer.segmentation_folders import LABELS, write_blocks
from trainer.pictures import Item, Pictures
from trainer.pixel_loss import NO_ID
from trainer.scaled_crops import LARGEST, SMALLEST, Scaled, crop_together
from trainer.segmentation_hyperparameters import SegmentationHyperparameters
from trainer.tasks.segmentation import TASK


def numbered(height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """A picture whose pixels say where they are, and targets that say it too."""
    rows, columns = np.mgrid[0:height, 0:width]
    targets = rows * width + columns
    pixels = np.stack([rows + 1, columns + 1, np.ones_like(rows)], axis=2)
    return pixels.astype(np.uint8), targets.astype(np.int64)


@pytest.mark.parametrize("shape", [(20, 30), (5, 30), (30, 5), (6, 7), (8, 8)])
def test_square_is_of_one_place_of_picture_and_targets(shape: tuple[int, int]) -> None:
    height, width = shape
    corners = set()
    for key in range(40):
        pixels, targets = crop_together(*numbered(height, width), 8, seed=1, key=key)
        assert (pixels.shape, targets.shape) == ((8, 8, 3), (8, 8))
        inside = targets != NO_ID
        rows, columns = np.divmod(targets[inside], width)
        assert (pixels[inside] == np.stack([rows + 1, columns + 1, rows * 0 + 1], axis=1)).all()
        assert not pixels[~inside].any()
        assert inside[: min(8, height), : min(8, width)].all()
        assert inside.sum() == min(8, height) * min(8, width)
        corners.add((int(rows.min()), int(columns.min())))
    tops, lefts = (range(max(1, side - 8 + 1)) for side in shape)
    assert {top for top, _ in corners} <= set(tops)
    assert {left for _, left in corners} <= set(lefts)
    assert len(corners) > 1 or len(tops) * len(lefts) == 1


def test_every_corner_comes_up() -> None:
    found = {int(crop_together(*numbered(1, 10), 8, seed=2, key=key)[1][0, 0]) for key in range(50)}
    assert found == {0, 1, 2}


def test_longer_side_is_half_to_twice_the_base_and_the_aspect_is_kept() -> None:
    buffer = BytesIO()
    Image.new("RGB", (160, 80)).save(buffer, "PNG")
    view = Scaled(base_size=100, seed=3)
    pictures = [view(buffer.getvalue(), key) for key in range(60)]
    sides = []
    for picture in pictures:
        height, width, _ = picture.pixels.shape
        assert abs(width / 2 - height) <= 0.5
        assert (picture.width, picture.height) == (160, 80)
        sides.append(width)
    assert 100 * SMALLEST <= min(sides) < 60
    assert 180 < max(sides) <= 100 * LARGEST
    again = [view(buffer.getvalue(), key).pixels.shape[1] for key in range(60)]
    assert again == sides
    other = Scaled(base_size=100, seed=4)
    assert other(buffer.getvalue(), 0).pixels.shape[1] != sides[0]


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    """The pictures of a training epoch that is cropped."""
    dataset = TASK.read(write_blocks(tmp_path_factory.mktemp("blocks")))
    pictures = Pictures(dataset.splits["train"], TASK.of(cropped()).train_view())
    return [pictures[key] for key in range(len(pictures))]


def cropped(**more: object) -> SegmentationHyperparameters:
    return build(
        SegmentationHyperparameters,
        {"model": "fcn-tiny", "crop_size": 64, "base_size": 80, "seed": 5, **more},
    )


def test_labels_lie_on_their_colours(items: list[Item]) -> None:
    """A pixel is reddest where its label is red: scaled, cropped and mirrored with its picture."""
    batch = TASK.of(cropped()).collate_train(items)
    pixels, labels = batch["pixel_values"].numpy(), batch["labels"].numpy()
    assert (pixels.shape, labels.shape) == ((16, 3, 64, 64), (16, 64, 64))
    assert set(np.unique(labels)) == {NO_ID, 0, 1, 2}
    difference = pixels[:, 0] - pixels[:, 2]  # red less blue, normalised
    for label, seen in ((1, difference > 1.2), (2, difference < -1.2)):
        assert LABELS[label] in {"red", "blue"}
        expected = labels == label
        overlap = (seen & expected).sum() / (seen | expected).sum()
        assert overlap > 0.85


def test_batch_is_the_same_again_and_another_one_in_the_next_epoch(items: list[Item]) -> None:
    first, again = (TASK.of(cropped()).collate_train(items[:4]) for _ in range(2))
    assert all((first[name] == again[name]).all() for name in first)
    later = [Item(item.key + 16, item.picture, item.sample) for item in items[:4]]
    assert not (TASK.of(cropped()).collate_train(later)["labels"] == first["labels"]).all()


@pytest.mark.parametrize(
    ("given", "input_size", "crop_size"),
    [
        ({}, 512, 0),
        ({"crop_size": "240"}, 240, 240),
        ({"crop_size": 0}, 512, 0),
        ({"crop_size": "240", "input_size": "480"}, 480, 240),
        ({"input_size": "64"}, 64, 0),
    ],
)
def test_input_is_as_large_as_the_crop_unless_it_is_given(
    given: dict[str, object], input_size: int, crop_size: int
) -> None:
    wanted = build(SegmentationHyperparameters, given)
    assert (wanted.input_size, wanted.crop_size) == (input_size, crop_size)


def test_whole_pictures_are_squashed_without_a_crop(tmp_path: Path) -> None:
    dataset = TASK.read(write_blocks(tmp_path))
    wanted = build(SegmentationHyperparameters, {"input_size": 32, "augmentation": "none"})
    pictures = Pictures(dataset.splits["train"], TASK.of(wanted).train_view())
    trained = TASK.of(wanted).collate_train([pictures[0], pictures[1]])
    evaluated = TASK.collate_eval([pictures[0], pictures[1]])
    assert all((trained[name] == evaluated[name]).all() for name in trained)
