"""A training's epochs -> the lines on stdout that SageMaker's tuning jobs take metrics from.

SageMaker has no other way to learn a metric than a regular expression over a job's log. Each line
has the head of the built-in algorithms', and the metrics the shapes that their logs and the regular
expressions of their guides have:

    [10/21/2018 16:14:04 INFO 139898349291328] Epoch[18] Validation-accuracy=0.875000

Epochs count from 0, as there. A number is never written with an exponent, which a regular expression
of digits would cut short. An epoch's last line has every metric by the trainer's own name.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer.tasks import TaskName

_EVALUATED: Final = "eval_"
_NUMBER: Final = "epoch"
_TOP_K: Final = "top_k_accuracy_"


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch that is over.

    Attributes:
        number: Its number, from 0.
        seconds: How long its training took.
        trained: Mean loss and metrics of its training, by name.
        validated: Losses and metrics on the validation split, by name.
    """

    number: int
    seconds: float
    trained: Mapping[str, float]
    validated: Mapping[str, float]


def classification_lines(epoch: Epoch) -> list[str]:
    """MXNet's lines, and one with the names that tuning jobs give the metrics."""
    trained = _accuracies(epoch.trained)
    validated = _accuracies(epoch.validated)
    return [
        *(f"Train-{name}={value:.6f}" for name, value in trained.items()),
        f"Time cost={epoch.seconds:.3f}",
        *(f"Validation-{name}={value:.6f}" for name, value in validated.items()),
        _named({"train": trained, "validation": validated}),
    ]


def segmentation_lines(epoch: Epoch) -> list[str]:
    """The names that tuning jobs give the metrics."""
    validated = {
        "mIOU": epoch.validated["mean_iou"],
        "pixel_accuracy": epoch.validated["overall_accuracy"],
        "loss": epoch.validated["loss"],
    }
    trained = {name: value for name, value in epoch.trained.items() if name == "loss"}
    return [
        f"Time cost={epoch.seconds:.3f}",
        _named({"train": trained, "validation": validated}),
    ]


def detection_lines(epoch: Epoch) -> list[str]:
    """The loss of the training, the two parts of the validation's, and the mAP if there is one."""
    # `loss=([0-9\\.]+).` takes the number before the comma, and must find no other one.
    parts = [
        *(f"loss={value:.6f}" for name, value in epoch.trained.items() if name == "loss"),
        f"Val_localization={epoch.validated['loss_localization']:.6f}",
        f"Val_classification={epoch.validated['loss_classification']:.6f}",
        # Without an object in the validation there is none.
        *(f"Val_mAP={value:.6f}" for name, value in epoch.validated.items() if name == "map"),
    ]
    return [f"Time cost={epoch.seconds:.3f}", ", ".join(parts)]


LINES: Final[Mapping[TaskName, Callable[[Epoch], list[str]]]] = {
    "image-classification": classification_lines,
    "semantic-segmentation": segmentation_lines,
    "object-detection": detection_lines,
}


class LogLines(TrainerCallback):
    """Prints an epoch's lines in the main process, once it is validated."""

    def __init__(self, task: TaskName) -> None:
        self._lines = LINES[task]
        self._started = 0.0
        self._seconds = 0.0
        self._logged: list[tuple[int, Mapping[str, float]]] = []
        self._since = 0

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Begin to count the time and the steps."""
        self._started, self._since, self._logged = time.monotonic(), state.global_step, []

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Stop the clock before the validation."""
        self._seconds = time.monotonic() - self._started

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Keep what the training says of its steps since it last did."""
        trained = {
            name: value
            for name, value in (logs or {}).items()
            if name != _NUMBER and not name.startswith(_EVALUATED)
        }
        if trained:
            self._logged.append((state.global_step, trained))

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Print the lines of the epoch."""
        if not state.is_world_process_zero:
            return
        number = round(state.epoch or 0) - 1
        validated = {
            name.removeprefix(_EVALUATED): value
            for name, value in (metrics or {}).items()
            if name.startswith(_EVALUATED)
        }
        epoch = Epoch(number, self._seconds, mean_by_steps(self._logged, self._since), validated)
        for line in (*self._lines(epoch), _everything(epoch)):
            sys.stdout.write(f"{_head()} Epoch[{number}] {line}\n")
        sys.stdout.flush()


def mean_by_steps(
    logged: Sequence[tuple[int, Mapping[str, float]]], since: int
) -> dict[str, float]:
    """The means over an epoch from means over the steps before each of (step, means by name)."""
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for step, means in logged:
        for name, value in means.items():
            sums[name] = sums.get(name, 0.0) + (step - since) * value
            counts[name] = counts.get(name, 0) + step - since
        since = step
    return {name: sums[name] / count for name, count in counts.items() if count}


def _accuracies(metrics: Mapping[str, float]) -> dict[str, float]:
    return {
        name: value
        for name, value in metrics.items()
        if name == "accuracy" or name.startswith(_TOP_K)
    }


def _named(splits: Mapping[str, Mapping[str, float]]) -> str:
    """Such as `train:accuracy=0.500000, validation:accuracy=0.250000`."""
    return ", ".join(
        f"{split}:{name}={value:.6f}"
        for split, metrics in splits.items()
        for name, value in metrics.items()
    )


def _everything(epoch: Epoch) -> str:
    """All metrics by the trainer's names, as JSON, in which no `name=` stands."""
    return "metrics " + json.dumps({"train": epoch.trained, "validation": epoch.validated})


def _head() -> str:
    """The time in UTC, the level and the thread, as the built-in algorithms write them."""
    return f"[{time.strftime('%m/%d/%Y %H:%M:%S', time.gmtime())} INFO {threading.get_ident()}]"
