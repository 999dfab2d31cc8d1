"""A recipe -> the optimizer of torch that carries it out, by name.

Goes in: the hyperparameters. Comes out: a class of torch.optim and its keywords; the Trainer makes
one of it for the weights that learn, and gives norms and biases no decay, whatever the optimizer.
With adamw the decay is decoupled from the gradient (Loshchilov and Hutter 2019, arXiv 1711.05101);
every other optimizer adds it to the gradient, as MXNet's do. torch adds epsilon to the root of the
squared gradients' mean; MXNet's and TensorFlow's rmsprop add it below the root.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import torch
from torch.optim import Optimizer

from trainer.recipe import OptimizerName, Recipe

Choice: TypeAlias = tuple[type[Optimizer], dict[str, Any]]


def choose_optimizer(recipe: Recipe, learning_rate: float) -> Choice:
    """The class of torch.optim that a recipe names, and its keywords besides the decay."""
    kind, keywords = OPTIMIZERS[recipe.optimizer](recipe)
    return kind, {"lr": learning_rate, **keywords}


def _adamw(recipe: Recipe) -> Choice:
    return torch.optim.AdamW, {"fused": True, **_betas(recipe)}


def _adam(recipe: Recipe) -> Choice:
    return torch.optim.Adam, {"fused": True, **_betas(recipe)}


def _sgd(recipe: Recipe) -> Choice:
    return torch.optim.SGD, {"momentum": recipe.momentum}


def _nag(recipe: Recipe) -> Choice:
    return torch.optim.SGD, {"momentum": recipe.momentum, "nesterov": True}


def _rmsprop(recipe: Recipe) -> Choice:
    return torch.optim.RMSprop, {
        "alpha": recipe.rho,
        "eps": recipe.epsilon,
        "momentum": recipe.momentum,
    }


def _adagrad(recipe: Recipe) -> Choice:
    return torch.optim.Adagrad, {
        "eps": recipe.epsilon,
        "initial_accumulator_value": recipe.initial_accumulator_value,
    }


def _adadelta(recipe: Recipe) -> Choice:
    return torch.optim.Adadelta, {"rho": recipe.rho, "eps": recipe.epsilon}


OPTIMIZERS: Final[dict[OptimizerName, Callable[[Recipe], Choice]]] = {
    "adamw": _adamw,
    "adam": _adam,
    "sgd": _sgd,
    "nag": _nag,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
}


def _betas(recipe: Recipe) -> dict[str, Any]:
    return {"betas": (recipe.beta_1, recipe.beta_2), "eps": recipe.epsilon}
