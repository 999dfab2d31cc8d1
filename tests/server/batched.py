"""Requests of numbers to a batcher whose model answers three times each."""

import numpy as np

from server.batcher import Batcher
from server.delivery import Answer
from server.execution import Row, joined


def triple(inputs: Row) -> Row:
    """A run that answers x[N, 1] with y[N, 1], three times it."""
    return {"y": inputs["x"] * np.float32(3)}


def rows(*values: float) -> Row:
    """The inputs of so many rows."""
    return {"x": np.array(values, np.float32)[:, np.newaxis]}


async def ask(
    batcher: Batcher, *values: float, priority: int = 0, timeout_us: int = 0
) -> list[float]:
    """Submit a request of so many rows; its answer."""
    return numbers(await batcher.submit(rows(*values), len(values), priority, timeout_us))


def numbers(answer: Answer) -> list[float]:
    """The answer's rows."""
    return [float(value) for value in joined(answer.parts, "y")[:, 0]]
