"""The formats that the hardware allows."""

import pytest

from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.errors import HardwareError
from trainer.hardware import choose_hardware


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
