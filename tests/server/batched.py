"""Requests of numbers to a batcher whose model answers three times each."""

import asyncio
import threading
from collections.abc import Coroutine

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


class Gate:
    """A run that records the values of its batches and waits until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()
        self.batches: list[list[float]] = []

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]

    def run(self, inputs: Row) -> Row:
        self.batches.append([float(value) for value in inputs["x"][:, 0]])
        self.entered.release()
        assert self.opened.wait(30)
        return triple(inputs)

    async def busy(self) -> None:
        assert await asyncio.to_thread(self.entered.acquire, timeout=30)


async def started(
    *coroutines: Coroutine[None, None, list[float]],
) -> list["asyncio.Task[list[float]]"]:
    """Start the requests in their order, so that they wait in the queue."""
    tasks = [asyncio.create_task(one) for one in coroutines]
    await asyncio.sleep(0)
    return tasks
