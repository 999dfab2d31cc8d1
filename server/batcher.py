"""Pictures of many requests -> batches -> one run each -> rows back to their waiters.

Work-conserving: an idle runner takes what is waiting at once, and while it works the next batch
gathers by itself, so no delay is ever waited for. `take_batch` decides, the loop does.

The price: a request's pictures are queued together, but may be spread over batches.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.errors import QueueFull, Unloaded

Row = Mapping[str, NDArray[Any]]
"""The tensors of one picture by name, without the batch axis; of a batch, with it."""

Run = Callable[[Row], Row]
"""Runs tensors[N, ...] of a batch of N and returns its outputs[N, ...]."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """One picture in the queue and the future of its outputs."""

    inputs: Row
    outputs: "asyncio.Future[Row]"


class Batcher:
    """Shares the runs of one model version between all pictures that wait for it.

    Args:
        run: Computes one batch; called in `executor`, never twice at once.
        executor: Where `run` may block.
        max_batch_size: Most pictures in one run.
        max_queue_size: Most pictures waiting.
    """

    def __init__(
        self, run: Run, executor: Executor, max_batch_size: int, max_queue_size: int
    ) -> None:
        self._run = run
        self._executor = executor
        self._max_batch_size = max_batch_size
        self._max_queue_size = max_queue_size
        self._queue: deque[Waiter] = deque()
        self._wake = asyncio.Event()
        self._stopping = False
        self._loop_task: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether the loop runs; False makes the model unready."""
        return self._loop_task is not None and not self._loop_task.done()

    def start(self) -> None:
        """Start the loop on the running event loop."""
        self._loop_task = asyncio.create_task(self._serve_queue(), name="batcher")

    async def stop(self) -> None:
        """Stop after the run under way; whoever still waits, or comes later, gets Unloaded."""
        self._stopping = True
        self._wake.set()
        if self._loop_task is not None:
            await self._loop_task
        _fail(self._queue, Unloaded())
        self._queue.clear()

    async def submit(self, pictures: Sequence[Row]) -> list[Row]:
        """Queue the pictures of one request and wait for their outputs, in their order.

        Raises:
            QueueFull: They do not fit the queue; none was queued.
            Unloaded: The batcher was stopped.
        """
        if self._stopping:
            raise Unloaded
        if len(self._queue) + len(pictures) > self._max_queue_size:
            raise QueueFull(len(self._queue), len(pictures), self._max_queue_size)
        loop = asyncio.get_running_loop()
        waiters = [Waiter(inputs, loop.create_future()) for inputs in pictures]
        self._queue.extend(waiters)
        self._wake.set()
        try:
            return await asyncio.gather(*(waiter.outputs for waiter in waiters))
        finally:
            for waiter in waiters:  # a departed client, or a failed mate: the rest costs nothing
                waiter.outputs.cancel()

    async def _serve_queue(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping:
            batch = take_batch(self._queue, self._max_batch_size)
            if not batch:
                self._wake.clear()
                await self._wake.wait()
                continue
            try:
                rows = await loop.run_in_executor(self._executor, run_batch, self._run, batch)
            except Exception as err:  # whatever the run raises is its waiters' answer
                _fail(batch, err)
            else:
                for waiter, row in zip(batch, rows, strict=True):
                    if not waiter.outputs.done():
                        waiter.outputs.set_result(row)


def take_batch(queue: deque[Waiter], max_batch_size: int) -> list[Waiter]:
    """Take up to `max_batch_size` pictures of one shape from the front, without departed waiters."""
    batch: list[Waiter] = []
    while queue and len(batch) < max_batch_size:
        waiter = queue[0]
        if waiter.outputs.done():
            queue.popleft()
        elif batch and _signature(waiter.inputs) != _signature(batch[0].inputs):
            break
        else:
            batch.append(queue.popleft())
    return batch


def run_batch(run: Run, batch: Sequence[Waiter]) -> list[Row]:
    """Stack the inputs, run them, split the outputs; checks that a row came back for each."""
    stacked = {
        name: np.stack([waiter.inputs[name] for waiter in batch]) for name in batch[0].inputs
    }
    outputs = run(stacked)
    for name, tensor in outputs.items():
        if len(tensor) != len(batch):
            raise ValueError(f"output {name}: {len(tensor)} rows for a batch of {len(batch)}")
    return [{name: tensor[i] for name, tensor in outputs.items()} for i in range(len(batch))]


def _signature(inputs: Row) -> list[tuple[str, tuple[int, ...], np.dtype[np.generic]]]:
    return [(name, tensor.shape, tensor.dtype) for name, tensor in inputs.items()]


def _fail(batch: Iterable[Waiter], err: Exception) -> None:
    for waiter in batch:
        if not waiter.outputs.done():
            waiter.outputs.set_exception(err)
