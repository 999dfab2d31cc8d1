"""`aperture-train fit`, from a dataset folder to a version in the repository."""

import json

import onnx
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from contract.labels import read_labels
from contract.model_config import read_model_config
from tests.trainer.conftest import LABELS, Trained

METRICS = ("accuracy", "precision", "recall", "f1")


def test_fit_publishes_version_one_with_config_and_labels(trained: Trained) -> None:
    model_dir = trained.repository / trained.name
    config = read_model_config(model_dir)
    assert sorted(path.name for path in model_dir.iterdir()) == ["1", "config.pbtxt", "labels.txt"]
    assert [path.name for path in (model_dir / "1").iterdir()] == ["model.onnx"]
    assert read_labels(model_dir / "labels.txt") == LABELS
    assert config.max_batch_size == 64
    assert [(spec.name, spec.datatype, spec.dims) for spec in config.inputs] == [
        ("image", "UINT8", (16, 16, 3))
    ]
    assert [(spec.name, spec.datatype, spec.dims) for spec in config.outputs] == [
        ("scores", "FP32", (4,))
    ]
    assert config.task == "image-classification"


def test_tiny_model_learns_the_digits(trained: Trained) -> None:
    metrics = json.loads((trained.run_dir / "metrics.json").read_text())
    assert metrics["splits"]["test"]["accuracy"] > 0.6  # chance is 0.25
