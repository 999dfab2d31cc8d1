"""The epochs' metrics so far -> whether a training is over, and which of them is the best.

Only what the checkpoints log decides, so a run that was broken off and resumed ends after the same
epoch as an unbroken one.
"""

from collections.abc import Mapping, Sequence

from trainer.hyperparameters import Hyperparameters
from trainer.recipe import Recipe


def is_over(epochs: Sequence[Mapping[str, float]], wanted: Hyperparameters, metric: str) -> bool:
    """Whether a training has seen its last epoch.

    Args:
        epochs: What report.epoch_metrics says of each.
        wanted: How many there are at most, and whether they may be fewer.
        metric: The name of the task's main metric.
    """
    values = [epoch.get(f"validation_{metric}") for epoch in epochs]
    return len(epochs) >= wanted.num_train_epochs or ends_early(values, wanted)


def ends_early(values: Sequence[float | None], recipe: Recipe) -> bool:
    """Whether a metric, more of which is better, has not grown for as long as is waited for.

    The epochs are watched from the first on; the least number of them only delays the end. Growth
    counts if it is above `early_stopping_min_delta`, as Keras' EarlyStopping has it, and not below
    `early_stopping_tolerance` times the best value so far, as SageMaker does. An epoch without the
    metric, or with one that is no number, shows no growth; where no epoch has the metric, nothing
    can be said of growth, and the training goes on.
    """
    if not recipe.early_stopping or len(values) < recipe.early_stopping_min_epochs:
        return False
    if all(value is None for value in values):
        return False
    best, waited = float("-inf"), 0
    for value in values:
        if value is not None and _has_grown(value, best, recipe):
            best, waited = value, 0
        else:
            waited += 1
    return waited >= recipe.early_stopping_patience


def _has_grown(value: float, best: float, recipe: Recipe) -> bool:
    growth = value - best
    return (
        growth > recipe.early_stopping_min_delta
        and growth >= recipe.early_stopping_tolerance * max(best, 0)
    )
