"""Each optimizer's steps beside its update rule, written out in numpy from its paper."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainer.optimizers import OPTIMIZERS, choose_optimizer
from trainer.recipe import OptimizerName, Recipe

Vector = NDArray[np.float64]

RATE, DECAY, STEPS = 0.1, 0.02, 6
RECIPE = Recipe(
    momentum=0.8,
    beta_1=0.7,
    beta_2=0.95,
    epsilon=1e-3,
    rho=0.85,
    initial_accumulator_value=0.1,
)
START = np.array([1.0, -2.0, 0.5, 3.0])


def gradient(weights: Vector) -> Vector:
    """That of a bowl that is steeper along each further axis."""
    return weights * np.arange(1, 5)


def decayed(weights: Vector) -> Vector:
    """The gradient with an L2 decay in it."""
    return gradient(weights) + DECAY * weights


def adam(weights: Vector, *, decoupled: bool) -> Iterator[Vector]:
    mean, square = np.zeros(4), np.zeros(4)
    for step in range(1, STEPS + 1):
        slope = gradient(weights) if decoupled else decayed(weights)
        mean = 0.7 * mean + 0.3 * slope
        square = 0.95 * square + 0.05 * slope**2
        root = np.sqrt(square / (1 - 0.95**step)) + 1e-3
        shrunk = weights * (1 - RATE * DECAY) if decoupled else weights
        weights = shrunk - RATE * mean / (1 - 0.7**step) / root
        yield weights


def sgd(weights: Vector, *, nesterov: bool) -> Iterator[Vector]:
    velocity = np.zeros(4)
    for _ in range(STEPS):
        slope = decayed(weights)
        velocity = 0.8 * velocity + slope
        weights = weights - RATE * (slope + 0.8 * velocity if nesterov else velocity)
        yield weights


def rmsprop(weights: Vector) -> Iterator[Vector]:
    square, velocity = np.zeros(4), np.zeros(4)
    for _ in range(STEPS):
        slope = decayed(weights)
        square = 0.85 * square + 0.15 * slope**2
        velocity = 0.8 * velocity + slope / (np.sqrt(square) + 1e-3)
        weights = weights - RATE * velocity
        yield weights


def adagrad(weights: Vector) -> Iterator[Vector]:
    total = np.full(4, 0.1)
    for _ in range(STEPS):
        slope = decayed(weights)
        total = total + slope**2
        weights = weights - RATE * slope / (np.sqrt(total) + 1e-3)
        yield weights


def adadelta(weights: Vector) -> Iterator[Vector]:
    square, moved = np.zeros(4), np.zeros(4)
    for _ in range(STEPS):
        slope = decayed(weights)
        square = 0.85 * square + 0.15 * slope**2
        change = np.sqrt(moved + 1e-3) / np.sqrt(square + 1e-3) * slope
        moved = 0.85 * moved + 0.15 * change**2
        weights = weights - RATE * change
        yield weights


RULES: dict[OptimizerName, Callable[[Vector], Iterator[Vector]]] = {
    "adamw": lambda weights: adam(weights, decoupled=True),
    "adam": lambda weights: adam(weights, decoupled=False),
    "sgd": lambda weights: sgd(weights, nesterov=False),
    "nag": lambda weights: sgd(weights, nesterov=True),
    "rmsprop": rmsprop,
    "adagrad": adagrad,
    "adadelta": adadelta,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_follows_its_rule(name: OptimizerName) -> None:
    weights = torch.nn.Parameter(torch.tensor(START))
    kind, keywords = choose_optimizer(RECIPE.model_copy(update={"optimizer": name}), RATE)
    optimizer = kind([{"params": [weights], "weight_decay": DECAY}], **keywords)
    for expected in RULES[name](START):
        weights.grad = torch.tensor(gradient(weights.detach().numpy()))
        optimizer.step()
        assert weights.detach().numpy() == pytest.approx(expected, rel=1e-9)
