"""The loss of an evaluation is told apart into where boxes lie and what they show."""

from pathlib import Path

import pytest
import torch
from torch import nn

from contract.options import build
from tests.trainer.coco_folders import write_coco_folder
from trainer.datasets.coco import read_coco
from trainer.detection_hyperparameters import DetectionHyperparameters
from trainer.detection_losses import CLASSIFICATION, LOCALIZATION
from trainer.pictures import Pictures, Whole
from trainer.tasks.detection import TASK
from trainer.tasks.task import LOSS, Batch, Losses


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    """Four pictures of one or two objects each."""
    folder = write_coco_folder(tmp_path, {"train": 4, "validation": 1})
    samples = read_coco(folder).splits["train"]
    pictures = Pictures(samples, Whole(64, 64, "pad"))
    return TASK.collate_eval([pictures[index] for index in range(len(samples))])


def losses_of(model: str, batch: Batch) -> Losses:
    torch.manual_seed(0)
    wanted = build(DetectionHyperparameters, {"model": model, "input_size": 64})
    detector = TASK.of(wanted).build_model(("one", "two"))
    nn.Module.eval(detector)
    with torch.no_grad():
        return TASK.evaluate_batch(detector, batch)[0]


@pytest.mark.parametrize("model", ["detr-tiny", "rtdetr-v2-tiny", "dfine-tiny"])
def test_the_two_parts_make_up_the_loss(model: str, batch: Batch) -> None:
    losses = losses_of(model, batch)
    assert losses[LOCALIZATION] > 0
    assert losses[CLASSIFICATION] > 0
    torch.testing.assert_close(losses[LOCALIZATION] + losses[CLASSIFICATION], losses[LOSS])


@pytest.mark.parametrize("model", ["detr-tiny", "rtdetr-v2-tiny"])
def test_pictures_without_objects_cost_nothing_to_locate(model: str, batch: Batch) -> None:
    for label in batch["labels"]:
        label["class_labels"], label["boxes"] = label["class_labels"][:0], label["boxes"][:0]
    losses = losses_of(model, batch)
    assert losses[LOCALIZATION] == 0
    torch.testing.assert_close(losses[CLASSIFICATION], losses[LOSS])
