"""Real trainings that keep their best weights, end early, and end when they are asked to."""

import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tests.trainer.conftest import FAST, fit_flags, problems
from tests.trainer.runs import Ended, end, started, trained_weights, wait_for_checkpoint
from trainer.checkpoints import Checkpoint, chosen_of, is_whole, newest_whole
from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.errors import Stopped
from trainer.fit import fit
from trainer.job import Hooks
from trainer.settings import FitSettings
from trainer.stopping import StopRequest

STEPS = 10  # of an epoch of the digits
BEST = {
    "num_train_epochs": 9,
    "published_checkpoint": "best",
    "early_stopping": True,
    "early_stopping_patience": 3,
}


class Then(TrainerCallback):
    """Does something after each step, or when an epoch's steps are over, before its evaluation."""

    def __init__(self, *, step: int = 0, epoch: int = 0, act: Callable[[nn.Module], None]) -> None:
        self._step, self._epoch, self._act = step, epoch, act

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **_: object,
    ) -> None:
        if state.global_step == self._step and model is not None:
            self._act(model)

    def on_epoch_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **_: object,
    ) -> None:
        if self._epoch and (state.epoch or 0) >= self._epoch and model is not None:
            self._act(model)


def forget(model: nn.Module) -> None:
    """Leave nothing of what was learned."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()


def train(
    data: Path, folder: Path, options: Mapping[str, object], hooks: Hooks | None = None
) -> Path:
    """Train to the export; the run's folder."""
    recipe = {"model": "resnet-tiny", "input_size": 20, "learning_rate": 0.02, "precision": "fp32"}
    settings = FitSettings(
        task="image-classification",
        data=data,
        model_repository=folder / "repository",
        name="digits",
        output_dir=folder / "run",
    )
    wanted = ClassificationHyperparameters.model_validate({**recipe, **options})
    with pytest.raises(Ended):
        fit(settings, wanted, hooks=hooks)
    return folder / "run"


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> list[Checkpoint]:
    """The checkpoints that would have been exported, which takes most of a short run's time."""
    found: list[Checkpoint] = []

    def export(checkpoint: Checkpoint, *_: object) -> None:
        found.append(checkpoint)
        end()

    monkeypatch.setattr("trainer.fit.export_and_publish", export)
    return found


def test_best_weights_outlive_those_after_them_and_are_published(
    digits: Path, tmp_path: Path, exported: list[Checkpoint]
) -> None:
    hooks = Hooks(callbacks=(Then(epoch=3, act=forget),))
    run_dir = train(digits, tmp_path, BEST, hooks)
    metrics = json.loads((run_dir / "metrics.json").read_text())
    accuracies = [epoch["validation_accuracy"] for epoch in metrics["epochs"]]
    best = accuracies.index(max(accuracies))
    assert best < 2, "what was forgotten is no better"
    assert len(accuracies) == best + 1 + 3, "the patience was over"
    assert metrics["checkpoint"] == exported[0].folder.name == f"checkpoint-{STEPS * (best + 1)}"
    assert metrics["splits"]["validation"]["accuracy"] == accuracies[best]
    assert chosen_of(run_dir) == exported[0].folder
    assert newest_whole(run_dir) == run_dir / f"checkpoint-{STEPS * len(accuracies)}"
    assert len(list(run_dir.glob("checkpoint-*"))) == 3

    train(digits, tmp_path, BEST)  # the same command trains no more
    assert exported[1].folder == exported[0].folder


def test_checkpoints_may_be_some_epochs_apart(
    digits: Path, tmp_path: Path, exported: list[Checkpoint]
) -> None:
    run_dir = train(digits, tmp_path, {"num_train_epochs": 5, "checkpoint_epochs": 2})
    folders = sorted(path.name for path in run_dir.glob("checkpoint-*"))
    assert folders == ["checkpoint-20", "checkpoint-40", "checkpoint-50"]
    assert exported[0].folder.name == "checkpoint-50"


@pytest.mark.parametrize("step", [13, 20])
def test_run_stopped_within_or_at_the_end_of_an_epoch_ends_as_the_unbroken_one(
    digits: Path, tmp_path: Path, exported: list[Checkpoint], step: int
) -> None:
    options = {"num_train_epochs": 4, "augmentation": "crop", "checkpoint_epochs": 3}
    unbroken = train(digits, tmp_path / "unbroken", options)
    stop = StopRequest()
    hooks = Hooks(callbacks=(Then(step=step, act=lambda _: stop.ask()),), stop=stop)
    with pytest.raises(Stopped):
        train(digits, tmp_path / "broken", options, hooks)
    broken = tmp_path / "broken" / "run"
    assert newest_whole(broken) == broken / f"checkpoint-{step}"
    train(digits, tmp_path / "broken", options)
    last = "checkpoint-40"
    assert trained_weights(broken / last) == trained_weights(unbroken / last)
    ours, theirs = (
        [
            {name: value for name, value in epoch.items() if name != "loss"}
            for epoch in json.loads((run / "metrics.json").read_text())["epochs"]
        ]
        for run in (broken, unbroken)
    )
    assert ours == theirs
    assert len(exported) == 2


def test_sigterm_ends_a_training_with_a_whole_checkpoint_and_143(
    digits: Path, tmp_path: Path
) -> None:
    flags = fit_flags(digits, tmp_path / "repository", "digits", *FAST, "--num_train_epochs", "90")
    run_dir, log = tmp_path / "runs" / "digits", tmp_path / "log"
    with started(flags, log) as process:
        wait_for_checkpoint(run_dir, process, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
    assert problems(log.read_text())[-1] == "stopped as asked; the same command goes on"
    assert all(is_whole(folder) for folder in run_dir.glob("checkpoint-*"))


def test_request_outside_of_a_training_ends_the_command_at_once() -> None:
    stop = StopRequest()
    with pytest.raises(Stopped):
        stop.ask()


def test_request_that_nobody_looked_at_ends_the_command_afterwards() -> None:
    stop = StopRequest()
    with pytest.raises(Stopped), stop.deferred():
        stop.ask()
