"""What the algorithms' optimizers share: which of their settings count, and which cannot."""

from typing import Final

from trainer.recipe import needs_epsilon

_SGD_LIKE: Final = ("sgd", "nag", "nesterov")


def beta_faults(optimizer: str, beta_1: float, beta_2: float) -> list[str]:
    """Lines for decays of adam's means that SageMaker's range has and adam cannot compute with."""
    if optimizer != "adam":
        return []
    return [
        f"{name}: got {value}, expected a number below 1 with optimizer adam, which divides by "
        "what it lacks to 1"
        for name, value in {"beta_1": beta_1, "beta_2": beta_2}.items()
        if value == 1
    ]


def epsilon_faults(
    name: str, optimizer: str, epsilon: float, initial_accumulator_value: float = 0.0
) -> list[str]:
    """A line for an epsilon of 0, which SageMaker's range has, where an optimizer divides by it."""
    if epsilon != 0 or not needs_epsilon(optimizer, initial_accumulator_value):
        return []
    return [
        f"{name}: got {epsilon}, expected a number above 0 with optimizer {optimizer}, which divides "
        "by it where gradients are 0"
    ]


def betas(optimizer: str, beta_1: float, beta_2: float) -> dict[str, object]:
    """Adam's decays, and nothing for another optimizer."""
    return {"beta_1": beta_1, "beta_2": beta_2} if optimizer == "adam" else {}


def momentum_and_weight_decay(
    optimizer: str, momentum: float, weight_decay: float
) -> dict[str, object]:
    """Those of sgd and of Nesterov's variant; 0 for another optimizer."""
    counts = optimizer in _SGD_LIKE
    return {
        "momentum": momentum if counts else 0.0,
        "weight_decay": weight_decay if counts else 0.0,
    }


def named_optimizer(optimizer: str, momentum: float) -> str:
    """The optimizer's name here; Nesterov's without momentum is sgd, and torch asks for that."""
    name = "nag" if optimizer == "nesterov" else optimizer
    return "sgd" if name == "nag" and momentum == 0 else name
