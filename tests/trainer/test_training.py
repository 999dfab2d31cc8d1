"""The learning rate's course and the formats that the hardware allows."""

import pytest

from trainer.errors import HardwareError
from trainer.hardware import choose_hardware
from trainer.hyperparameters import ClassificationHyperparameters
from trainer.training import rate_factor


def test_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    factors = [rate_factor(step, warmup=5, total=100, power=3) for step in range(101)]
    assert factors[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert factors[5:] == sorted(factors[5:], reverse=True)
    assert 0 < factors[99] < 1e-5
    assert factors[100] == 0


def test_a_single_step_trains_at_the_peak_rate() -> None:
    assert rate_factor(0, warmup=0, total=1, power=3) == 1


def test_formats_can_be_overridden() -> None:
    wanted = ClassificationHyperparameters(precision="fp32", memory_format="channels_last")
    hardware = choose_hardware(wanted)
    assert (hardware.precision, hardware.channels_last) == ("fp32", True)


def test_small_inputs_do_not_train_in_bf16_on_a_cpu() -> None:
    """See hardware.py: oneDNN's gradient is wrong there."""
    if choose_hardware(ClassificationHyperparameters()).device != "cpu":
        pytest.skip("needs a machine without a GPU")
    assert choose_hardware(ClassificationHyperparameters(input_size=16)).precision == "fp32"
    with pytest.raises(HardwareError, match="cpu at input_size 16 trains in fp32"):
        choose_hardware(ClassificationHyperparameters(input_size=16, precision="bf16"))
