"""Trainings of the head alone, and heads that start anew or are kept, for each task."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

from contract.options import build as build_options
from tests.trainer.conftest import Trained, aperture_train, fit_flags
from tests.trainer.kinds import LABELS, Kind
from tests.trainer.runs import Ended, end
from trainer.errors import WeightsUnavailable
from trainer.freezing import freeze_below, frozen_parts
from trainer.tasks import TASKS, load_task


def build(
    kind: Kind, model: str, labels: tuple[str, ...] = LABELS, reinitialize: str = "auto"
) -> PreTrainedModel:
    options = {"model": model, "reinitialize_top_layer": reinitialize}
    wanted = build_options(TASKS[kind.task].hyperparameters, options)
    return load_task(kind.task).of(wanted).build_model(labels)


def head_is_kept(kind: Kind, folder: Path, labels: tuple[str, ...], reinitialize: str) -> bool:
    """Whether a model from weights in a folder has their head; it has all else in any case."""
    kept = load_file(folder / "model.safetensors")
    model = build(kind, str(folder), labels, reinitialize).state_dict()
    assert torch.equal(model[kind.weight], kept[kind.stored])
    return torch.equal(model[kind.head], kept[kind.head])


def test_head_is_kept_for_the_same_labels_and_starts_anew_for_others(
    kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "trainer.weights")
    build(kind, kind.size).save_pretrained(tmp_path)
    assert head_is_kept(kind, tmp_path, LABELS, "auto")
    assert "event=new_head" not in caplog.text
    assert not head_is_kept(kind, tmp_path, ("x", "y"), "auto")
    assert f"event=new_head source={tmp_path} reason=labels" in caplog.text
    assert not head_is_kept(kind, tmp_path, LABELS, "true")
    assert head_is_kept(kind, tmp_path, ("x", "y"), "false")
    with pytest.raises(WeightsUnavailable, match="weights of other shapes"):
        build(kind, str(tmp_path), ("x", "y", "z"), "false")


def test_only_the_head_learns(kind: Kind) -> None:
    task, model = load_task(kind.task), build(kind, kind.size)
    freeze_below(model, task.head)
    learning = {name for name, part in model.named_parameters() if part.requires_grad}
    assert kind.head in learning
    assert all(name.startswith(task.head) for name in learning)
    model.train()
    for part in frozen_parts(model):
        part.eval()
    norms = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d) and not f"{name}.".startswith(task.head)
    }
    assert not any(module.training for module in norms.values())


def test_training_of_the_head_alone_leaves_the_rest_as_it_was(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its batch norms' statistics, too."""
    monkeypatch.setattr("trainer.fit.export_and_publish", end)
    start = trained.run_dir / "checkpoint-30"
    flags = fit_flags(trained.data, tmp_path / "repository", "head", "--model", str(start))
    flags += ["--input_size", "20", "--num_train_epochs", "1", "--train_only_top_layer"]
    flags += ["--optimizer", "sgd", "--reinitialize_top_layer", "true", "--weight_decay", "0.1"]
    with pytest.raises(Ended):
        aperture_train(*flags)
    before = load_file(start / "model.safetensors")
    after = load_file(tmp_path / "runs" / "head" / "checkpoint-10" / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classifier.1.weight", "classifier.1.bias"}
    metrics = json.loads((tmp_path / "runs" / "head" / "metrics.json").read_text())
    assert metrics["splits"]["test"]["accuracy"] > 0.6  # of features that were learned before
