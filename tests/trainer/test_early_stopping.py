"""When a training ends early, from the metrics that its checkpoints log."""

from collections.abc import Sequence

import pytest

from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.early_stopping import ends_early, is_over
from trainer.recipe import Recipe


def end_of(values: Sequence[float | None], **options: float) -> int | None:
    """The epoch after which a training of these metrics ends early, if it does."""
    recipe = Recipe.model_validate({"early_stopping": True, **options})
    ends = (n for n in range(1, len(values) + 1) if ends_early(values[:n], recipe))
    return next(ends, None)


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        ([0.5, 0.6, 0.6, 0.55, 0.58], {"early_stopping_patience": 3}, 5),
        ([0.5, 0.6, 0.6, 0.55, 0.61], {"early_stopping_patience": 3}, None),
        ([0.5, 0.4, 0.3], {"early_stopping_patience": 1}, 2),
        ([0.5, 0.4, 0.3], {"early_stopping_patience": 1, "early_stopping_min_epochs": 3}, 3),
        ([0.0, 0.0, 0.0], {"early_stopping_patience": 2}, 3),
    ],
)
def test_training_ends_once_its_patience_is_over(
    values: Sequence[float | None], options: dict[str, float], expected: int | None
) -> None:
    assert end_of(values, **options) == expected


def test_growth_below_a_part_of_the_best_is_none() -> None:
    """SageMaker's tolerance: (0.505 - 0.5) / 0.5 is 0.01."""
    values = [0.5, 0.505, 0.505]
    assert end_of(values, early_stopping_patience=1, early_stopping_tolerance=0.02) == 2
    assert end_of(values, early_stopping_patience=1, early_stopping_tolerance=0.009) == 3


def test_growth_of_the_least_difference_is_none() -> None:
    """Keras' min_delta: growth has to be above it."""
    values = [0.5, 0.75, 0.875]
    assert end_of(values, early_stopping_patience=1, early_stopping_min_delta=0.25) == 2
    assert end_of(values, early_stopping_patience=1, early_stopping_min_delta=0.125) == 3


def test_epochs_without_the_metric_show_no_growth() -> None:
    assert end_of([None, 0.1, None, float("nan")], early_stopping_patience=2) == 4


def test_a_metric_that_no_epoch_has_ends_no_training() -> None:
    assert end_of([None] * 5, early_stopping_patience=2) is None


def test_training_is_over_after_its_last_epoch_or_before() -> None:
    wanted = ClassificationHyperparameters(
        num_train_epochs=3, early_stopping=True, early_stopping_patience=1
    )
    falling = [{"validation_accuracy": 0.5}, {"validation_accuracy": 0.4}]
    rising = [{"validation_accuracy": 0.1 * epoch} for epoch in range(3)]
    assert is_over(falling, wanted, "accuracy")
    assert not is_over(rising[:2], wanted, "accuracy")
    assert is_over(rising, wanted, "accuracy")
