"""Inputs that are no square, from the flag to the published model's answers."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contract.errors import OptionsError
from contract.model_config import read_model_config
from contract.options import build
from tests.trainer.conftest import aperture_train, fit_flags
from trainer.checkpoints import open_checkpoint
from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.predictors import CheckpointPredictor, PublishedPredictor
from trainer.tasks.classification import TASK

RECIPE = ("--model", "resnet-cifar-8", "--input_size", "12x20", "--num_train_epochs", "1")


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of 24 x 32 pixels, dark on the left or on the right."""
    folder = tmp_path_factory.mktemp("stripes")
    random = np.random.default_rng(0)
    for split, count in {"train": 16, "validation": 6}.items():
        for label in ("left", "right"):
            target = folder / split / label
            target.mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(100, 256, (24, 32, 3), dtype=np.uint8)
                half = slice(0, 16) if label == "left" else slice(16, 32)
                pixels[:, half] //= 4
                Image.fromarray(pixels).save(target / f"{index}.png")
    return folder


def test_height_and_width_may_be_given_in_one_word() -> None:
    wide = build(ClassificationHyperparameters, {"input_size": "224x320"})
    assert wide == build(ClassificationHyperparameters, {"input_size": 224, "input_width": "320"})
    assert wide.size == (224, 320)
    assert build(ClassificationHyperparameters, {"input_size": "32X32"}).size == 32
    assert build(ClassificationHyperparameters, {"input_size": "32"}).size == 32


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"input_size": "3x20"}, "input_size: got '3', expected int in [4, inf)"),
        ({"input_size": "20x3"}, "input_width: got 3, expected 0 or at least 4"),
        ({"input_size": "20x30", "input_width": "40"}, "input_size: got '20x30' beside"),
        ({"input_size": "20x30", "resize": "29"}, "resize: got 29, expected 0 or at least"),
        ({"input_size": "20x"}, "input_size: got '20x', expected int in [4, inf)"),
    ],
)
def test_sizes_that_cannot_be_are_refused(options: dict[str, str], answer: str) -> None:
    with pytest.raises(OptionsError) as caught:
        build(ClassificationHyperparameters, options)
    (line,) = caught.value.problems
    assert line.startswith(answer)


def test_wide_input_trains_and_serves_as_the_checkpoint_does(stripes: Path, tmp_path: Path) -> None:
    flags = (*RECIPE, "--resize", "22", "--augmentation", "crop_color_transform")
    assert aperture_train(*fit_flags(stripes, tmp_path / "repository", "wide", *flags)) == 0
    config = read_model_config(tmp_path / "repository" / "wide")
    assert config.inputs[0].dims == (12, 20, 3)
    checkpoint = open_checkpoint(tmp_path / "runs" / "wide")
    assert checkpoint.input_size == (12, 20)
    files = [path.read_bytes() for path in sorted((stripes / "validation").glob("*/*.png"))]
    ours = CheckpointPredictor(checkpoint).predict(files)
    theirs = PublishedPredictor(TASK, tmp_path / "repository", "wide", None).predict(files)
    assert np.allclose(ours["scores"], theirs["scores"], atol=1e-5)
    metrics = json.loads((tmp_path / "runs" / "wide" / "metrics.json").read_text())
    found = np.argmax(theirs["scores"], axis=1) == np.repeat([0, 1], 6)
    assert metrics["splits"]["validation"]["accuracy"] == pytest.approx(found.mean())
