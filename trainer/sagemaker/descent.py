"""What the algorithms' optimizers share: which of their settings count, and which cannot."""


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


def betas(optimizer: str, beta_1: float, beta_2: float) -> dict[str, object]:
    """Adam's decays, and nothing for another optimizer."""
    return {"beta_1": beta_1, "beta_2": beta_2} if optimizer == "adam" else {}


def named_optimizer(optimizer: str, momentum: float) -> str:
    """The optimizer's name here; Nesterov's without momentum is sgd, and torch asks for that."""
    name = "nag" if optimizer == "nesterov" else optimizer
    return "sgd" if name == "nag" and momentum == 0 else name
