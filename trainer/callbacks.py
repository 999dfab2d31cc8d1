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
from trainer.errors import Diverged
from trainer.processes import wait_for_all


def is_finite(model: nn.Module) -> bool:
    """Whether every weight is a number."""
    return all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())


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


class Progress(ProgressCallback):
    """Transformers' progress bar, with log lines as key=value on stderr."""

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
        if state.is_world_process_zero and logs:
            fields = " ".join(f"{key}={value:.5g}" for key, value in logs.items())
            tqdm.write(f"step={state.global_step} {fields}", file=sys.stderr)
