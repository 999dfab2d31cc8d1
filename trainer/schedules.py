"""The learning rate's course: a linear rise to the peak, then the course that a recipe names."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from trainer.hyperparameters import Hyperparameters
from trainer.recipe import ScheduleName


@dataclass(frozen=True, slots=True)
class Moment:
    """A step of a training.

    Attributes:
        step: How many steps were made before it.
        progress: The part of the steps after the warm-up that were made before it, in [0, 1].
        steps_per_epoch: Steps of a whole epoch.
    """

    step: int
    progress: float
    steps_per_epoch: int


def rate_at(step: int, wanted: Hyperparameters, total: int, steps_per_epoch: int) -> float:
    """The part of the peak learning rate at `step` of `total`."""
    warmup = int(wanted.warmup_ratio * total)
    rise = (step + 1) / warmup if step < warmup else 1.0
    progress = max(0, step - warmup) / max(1, total - warmup)
    return rise * SCHEDULES[wanted.lr_scheduler](Moment(step, progress, steps_per_epoch), wanted)


def _poly(moment: Moment, wanted: Hyperparameters) -> float:
    """A power of the part that is left, the "poly" schedule of many papers."""
    return math.pow(1 - moment.progress, wanted.decay_power)


def _step(moment: Moment, wanted: Hyperparameters) -> float:
    """Smaller by the factor for each epoch of the list that is over."""
    over = sum(moment.step >= epoch * moment.steps_per_epoch for epoch in wanted.lr_scheduler_step)
    return math.pow(wanted.lr_scheduler_factor, over)


def _cosine(moment: Moment, _wanted: Hyperparameters) -> float:
    """Half a cosine (Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts)."""
    return (1 + math.cos(math.pi * moment.progress)) / 2


def _constant(_moment: Moment, _wanted: Hyperparameters) -> float:
    return 1.0


SCHEDULES: Final[dict[ScheduleName, Callable[[Moment, Hyperparameters], float]]] = {
    "poly": _poly,
    "step": _step,
    "cosine": _cosine,
    "constant": _constant,
}
