"""What happens beside the steps of a training: log lines, the progress bar, whole checkpoints."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm
from transformers import (
    ProgressCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from trainer.checkpoints import checkpoint_of, write_manifest
from trainer.early_stopping import ends_early
from trainer.errors import Diverged, Stopped
from trainer.pictures import EpochSampler
from trainer.processes import Processes, wait_for_all
from trainer.recipe import Recipe
from trainer.stopping import StopRequest


def is_finite(model: nn.Module) -> bool:
    """Whether every weight is a number."""
    return all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())


class EpochStart(TrainerCallback):
    """Tells the sampler which epoch begins, or is gone on with after a stop within it."""

    def __init__(self, sampler: EpochSampler) -> None:
        self._sampler = sampler

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Set the sampler's epoch."""
        self._sampler.set_epoch(int(state.epoch or 0))


class EpochEnd(TrainerCallback):
    """Logs at each epoch's end, whatever logging_steps says, and makes checkpoints whole."""

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Ask for a log line."""
        control.should_log = True

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **_: object,
    ) -> None:
        """Write the manifest once every process has written its part of a usable model.

        Raises:
            Diverged: A weight is no longer finite.
        """
        wait_for_all()
        assert model is not None  # noqa: S101 - the Trainer gives it to every callback
        if not is_finite(model):
            raise Diverged(float(args.learning_rate))
        if state.is_world_process_zero:
            write_manifest(checkpoint_of(Path(str(args.output_dir)), state.global_step))


class Milestones(TrainerCallback):
    """Says after which epochs there are checkpoints, which of them is the best, and the end."""

    def __init__(self, recipe: Recipe, main_metric: str) -> None:
        self._recipe = recipe
        self._metric = f"eval_{main_metric}"

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Leave out the checkpoints that are not wanted; the last epoch has one."""
        epoch = int(state.epoch or 0)
        if epoch % self._recipe.checkpoint_epochs and state.global_step < state.max_steps:
            control.should_save = False

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Keep the best epoch's checkpoint, and that of the epoch that is the last for now."""
        logged = [row for row in state.log_history if "eval_loss" in row]
        values = [row.get(self._metric) for row in logged]
        if self._recipe.published_checkpoint == "best" and _is_best(values[-1], state.best_metric):
            state.best_metric, state.best_global_step = values[-1], state.global_step
            control.should_save = True
        if ends_early(values, self._recipe):
            control.should_save = control.should_training_stop = True


class Stopping(TrainerCallback):
    """Ends a training that was asked to end, every process after the same step."""

    def __init__(self, request: StopRequest, processes: Processes) -> None:
        self._request = request
        self._processes = processes
        self._agreed = False

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Ask for a checkpoint; after an epoch's last step for the one that its end makes."""
        self._agreed = self._processes.any_of(flag=self._request.asked)
        at_end = float(state.epoch or 0).is_integer() or state.global_step >= state.max_steps
        if self._agreed and not at_end:
            control.should_save = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Ask for the epoch's own checkpoint, where there would be none."""
        if self._agreed:
            control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """End once the checkpoint is whole.

        Raises:
            Stopped: It is.
        """
        if self._agreed:
            wait_for_all()
            raise Stopped


class Progress(ProgressCallback):
    """Transformers' progress bar, with log lines as key=value on stderr if asked for."""

    def __init__(self, *, lines: bool) -> None:
        super().__init__()
        self._lines = lines

    def close(self) -> None:
        """End the bar's line, so that what is printed next begins one."""
        bar: tqdm[Any] | None = getattr(self, "training_bar", None)  # transformers types it None
        if bar is not None:
            bar.close()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Write the numbers above the bar."""
        if self._lines and state.is_world_process_zero and logs:
            fields = " ".join(f"{key}={value:.5g}" for key, value in logs.items())
            tqdm.write(f"step={state.global_step} {fields}", file=sys.stderr)


def _is_best(value: float | None, best: float | None) -> bool:
    """Whether a metric is above the best before it; of equal epochs the first is the best."""
    return value is not None and (best is None or value > best)
