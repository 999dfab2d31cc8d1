"""The learning rate's course, beside closed forms and what MXNet's schedulers compute."""

import math

import pytest

from tests.trainer.conftest import REQUIRED, aperture_train, problems
from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.schedules import rate_at

STEPS_PER_EPOCH = 10


def rates(total: int, **options: object) -> list[float]:
    """The rate before each step, and after the last."""
    wanted = ClassificationHyperparameters.model_validate(options)
    return [rate_at(step, wanted, total, STEPS_PER_EPOCH) for step in range(total + 1)]


def test_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    factors = rates(100)
    assert factors[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert factors[5:] == sorted(factors[5:], reverse=True)
    assert 0 < factors[99] < 1e-5
    assert factors[100] == 0


def test_a_single_step_trains_at_the_peak_rate() -> None:
    assert rates(1)[0] == 1


def test_poly_is_the_power_of_what_is_left() -> None:
    factors = rates(40, warmup_ratio=0, decay_power=0.9)
    assert factors == pytest.approx([((40 - step) / 40) ** 0.9 for step in range(41)])


def test_cosine_is_half_a_wave_after_the_warm_up() -> None:
    factors = rates(50, warmup_ratio=0.2, lr_scheduler="cosine")
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[10:] == pytest.approx(
        [(1 + math.cos(math.pi * step / 40)) / 2 for step in range(41)]
    )


def test_step_falls_when_each_of_its_epochs_is_over() -> None:
    """MXNet's MultiFactorScheduler, which counts the epochs in batches."""
    factors = rates(
        50,
        warmup_ratio=0,
        lr_scheduler="step",
        lr_scheduler_step="2, 4",
        lr_scheduler_factor=0.5,
    )
    assert factors == [1.0] * 20 + [0.5] * 20 + [0.25] * 11


def test_constant_stays_at_the_peak() -> None:
    assert rates(30, warmup_ratio=0, lr_scheduler="constant") == [1.0] * 31


@pytest.mark.parametrize(
    "flags", [("--lr_scheduler_step", "3,6"), ("--lr_scheduler_step=3", "--lr_scheduler_step=6")]
)
def test_epochs_are_given_in_one_flag_or_several(
    capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    assert aperture_train(*REQUIRED, "--lr_scheduler", "step", *flags, "--momentum", "7") == 2
    assert problems(capsys.readouterr().err) == ["momentum: got '7', expected float in [0, 1]"]


@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        (("--lr_scheduler", "step"), "lr_scheduler_step: got nothing, expected the epochs after"),
        (("--lr_scheduler_step", "3,0"), "lr_scheduler_step: got '0', expected list"),
        (
            ("--optimizer", "rmsprop", "--epsilon", "0"),
            "epsilon: got 0, expected a number above 0, since optimizer is rmsprop",
        ),
        (("--optimizer", "nag", "--momentum", "0"), "momentum: got 0, expected a number in (0, 1]"),
    ],
)
def test_half_a_recipe_exits_2(
    capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], answer: str
) -> None:
    assert aperture_train(*REQUIRED, *flags) == 2
    (line,) = problems(capsys.readouterr().err)
    assert line.startswith(answer)
