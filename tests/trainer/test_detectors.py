"""A detector comes from a size's name, a checkpoint folder or the hub; anything else is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from contract.errors import OptionsError
from contract.options import build
from tests.trainer.coco_folders import write_coco_folder
from trainer.box_drawing import draw_boxes
from trainer.datasets.coco import read_coco
from trainer.datasets.coco_objects import objects_of
from trainer.detection_batch import train_batch
from trainer.detection_hyperparameters import DetectionHyperparameters
from trainer.detector_sizes import SIZES
from trainer.detectors import build_detector
from trainer.padded_detectors import anchors_inside, padding_last, ties_by_index
from trainer.pictures import Pictures, Whole

TINY = ("detr-tiny", "rtdetr-v2-tiny", "dfine-tiny")


def wanted(model: str, **more: object) -> DetectionHyperparameters:
    return build(DetectionHyperparameters, {"model": model, **more})


def test_defaults_are_easymakers() -> None:
    defaults = DetectionHyperparameters()
    assert (
        defaults.model_dump().items()
        >= {
            "learning_rate": 2e-4,
            "per_device_train_batch_size": 4,
            "per_device_eval_batch_size": 4,
            "num_train_epochs": 3.0,
            "threshold": 0.5,
            "logging_steps": 500,
            "input_size": 800,
            "model": "detr-resnet-50",
        }.items()
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("threshold", 1.5, "threshold: got 1.5, expected float in [0, 1]"),
        ("logging_steps", 10, "logging_steps: got 10, expected int in [500, inf)"),
        ("per_device_train_batch_size", 0, "expected int in [1, inf)"),
        ("input_size", 100, "input_size: got 100, expected int in [32, inf), a multiple of 32"),
    ],
)
def test_value_out_of_range_is_named(name: str, value: float, expected: str) -> None:
    with pytest.raises(OptionsError) as caught:
        wanted("detr-tiny", **{name: value})
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", TINY)
def test_loss_falls_on_a_batch_that_is_learned(name: str, tmp_path: Path) -> None:
    dataset = read_coco(write_coco_folder(tmp_path, {"train": 4, "validation": 1}))
    pictures = Pictures(dataset.splits["train"], Whole(64, 64, "pad"))
    batch = train_batch([pictures[index] for index in range(4)], "none", seed=0)
    torch.manual_seed(0)
    model = build_detector(wanted(name), dataset.labels)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    losses = []
    for _ in range(20):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-4:]) < 0.97 * np.mean(losses[:4])


@pytest.mark.parametrize("name", TINY)
def test_checkpoint_folder_starts_a_model_of_other_labels(name: str, tmp_path: Path) -> None:
    source = build_detector(wanted(name), ("a", "b"))
    source.save_pretrained(tmp_path)
    model = build_detector(wanted(str(tmp_path)), ("x", "y", "z"))
    assert model.config.id2label == {0: "x", 1: "y", 2: "z"}
    assert any(parameter.requires_grad for parameter in model.model.backbone.parameters())
    ours, theirs = dict(model.named_parameters()), dict(source.named_parameters())
    same = [name for name in ours if ours[name].shape == theirs[name].shape]
    taken = [name for name in same if torch.equal(ours[name], theirs[name])]
    assert len(taken) > 0.8 * len(theirs.keys() & ours.keys())


def test_help_names_every_size() -> None:
    text = DetectionHyperparameters.model_fields["model"].description or ""
    for name in SIZES:
        family, _, size = name.rpartition("-")
        assert f"-{size}" in text
        assert family in text


@pytest.mark.parametrize(("size", "queries"), [(64, 20), (128, 80), (640, 300)])
def test_a_small_input_has_no_more_queries_than_anchors(size: int, queries: int) -> None:
    model = build_detector(DetectionHyperparameters(model="dfine-nano", input_size=size), ("a",))
    assert model.config.num_queries == queries


def test_anchors_in_the_padding_are_outside() -> None:
    mask = torch.zeros(1, 64, 64, dtype=torch.int64)
    mask[:, :40, :20] = 1
    inside = anchors_inside(mask, (8, 16, 32))
    assert inside.shape == (1, 64 + 16 + 4)
    # cells whose centres 4, 12, 20...; 8, 24, 40...; 16, 48 are above 40 and left of 20
    assert [int(part.sum()) for part in torch.split(inside[0], [64, 16, 4])] == [
        5 * 2,
        2 * 1,
        1 * 1,
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equal_anchors_are_ranked_by_index_in_any_precision(dtype: torch.dtype) -> None:
    model = build_detector(wanted("dfine-tiny", input_size=256), ("a", "b"))
    model = nn.Module.to(model, dtype).train(mode=False)
    head = model.model.enc_score_head
    anchors = torch.zeros(1, 32**2 + 16**2 + 8**2, head.in_features, dtype=dtype)
    count = anchors.shape[1]
    with torch.no_grad(), ties_by_index(model, None):
        ranks = head(anchors)[0, :, 0]
    assert ranks.tolist() == [-index for index in range(count)]
    mask = torch.zeros(1, 256, 256, dtype=torch.int64)
    mask[:, :8, :8] = 1  # the centre of the first anchor alone
    with torch.no_grad(), padding_last(model, mask):
        scores = head(anchors)[0, :, 0]
    assert scores.argmax() == 0
    assert (scores[1:].diff() < 0).all()


def test_drawing_shows_what_was_found_beside_the_truth(tmp_path: Path) -> None:
    dataset = read_coco(write_coco_folder(tmp_path, {"train": 1, "validation": 1}))
    sample = dataset.splits["train"][0]
    objects = objects_of(sample)
    box = np.array(objects.instances[0].box_xyxy_px) / ([objects.width, objects.height] * 2)
    outputs = {
        "boxes": np.stack([box, box])[None],
        "scores": np.array([[0.9, 0.1]]),
        "labels": np.array([[0, 1]], np.int32),
    }
    drawn = draw_boxes(outputs, sample, dataset.labels)
    assert drawn.shape == (512, 1024, 3)
    found, truth = drawn[:, :512].astype(int), drawn[:, 512:].astype(int)
    assert np.abs(found - truth).any(axis=-1).mean() < 0.01  # the captions
    outputs["scores"][:] = 0.2
    assert np.abs(draw_boxes(outputs, sample, dataset.labels)[:, :512] - truth).any()
