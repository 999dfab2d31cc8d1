"""A model -> the same one, of which the head alone learns."""

from torch import nn


def freeze_below(model: nn.Module, head: tuple[str, ...]) -> None:
    """Let only the weights learn whose names begin as the head's do."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith(head)


def frozen_parts(model: nn.Module) -> list[nn.Module]:
    """The largest modules that have weights, none of which learns.

    Their batch norms are to keep their statistics, and their dropouts to let all pass: what does
    not learn must compute the same each time.
    """
    parameters = list(model.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        return [model]
    return [part for child in model.children() for part in frozen_parts(child)]
