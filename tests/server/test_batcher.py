import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from server.batcher import Batcher, Row, Waiter, run_batch, take_batch
from server.errors import QueueFull, Unloaded

Body = Callable[[Batcher], Coroutine[None, None, None]]


def triple(inputs: Row) -> Row:
    return {"y": inputs["x"] * np.float32(3)}


def rows(values: list[float]) -> list[Row]:
    return [{"x": np.array([value], np.float32)} for value in values]


def with_batcher(
    body: Body,
    run: Callable[[Row], Row] = triple,
    max_batch_size: int = 8,
    max_queue_size: int = 1000,
) -> None:
    async def main() -> None:
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(run, executor, max_batch_size, max_queue_size)
            batcher.start()
            try:
                await body(batcher)
            finally:
                await batcher.stop()

    asyncio.run(main())


class Gate:
    """A run that records its batch sizes and waits until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.sizes: list[int] = []

    def run(self, inputs: Row) -> Row:
        self.sizes.append(len(inputs["x"]))
        self.entered.set()
        assert self.opened.wait(30)
        return triple(inputs)

    async def busy(self) -> None:
        await asyncio.to_thread(self.entered.wait, 30)


def test_batched_answers_equal_unbatched_ones_on_random_rows() -> None:
    rng = np.random.default_rng(0)
    requests = [list(map(float, rng.normal(size=size))) for size in rng.integers(1, 20, 50)]

    async def body(batcher: Batcher) -> None:
        answers = await asyncio.gather(*(batcher.submit(rows(values)) for values in requests))
        for values, outputs in zip(requests, answers, strict=True):
            expected = np.array(values, np.float32) * 3
            np.testing.assert_array_equal([row["y"][0] for row in outputs], expected)

    with_batcher(body)


def test_requests_that_wait_share_one_run() -> None:
    gate = Gate()

    async def body(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.submit(rows([1])))
        await gate.busy()
        rest = [asyncio.create_task(batcher.submit(rows([i]))) for i in range(5)]
        await asyncio.sleep(0)
        gate.opened.set()
        await asyncio.gather(first, *rest)
        assert gate.sizes == [1, 5]

    with_batcher(body, gate.run)


def test_a_request_larger_than_the_maximum_is_split_in_order() -> None:
    gate = Gate()
    gate.opened.set()

    async def body(batcher: Batcher) -> None:
        outputs = await batcher.submit(rows([float(i) for i in range(20)]))
        assert [row["y"][0] for row in outputs] == [3.0 * i for i in range(20)]
        assert gate.sizes == [8, 8, 4]

    with_batcher(body, gate.run)


def test_batcher_skips_a_waiter_that_left() -> None:
    gate = Gate()

    async def body(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.submit(rows([1])))
        await gate.busy()
        leaver = asyncio.create_task(batcher.submit(rows([2, 3])))
        stayer = asyncio.create_task(batcher.submit(rows([4])))
        await asyncio.sleep(0)
        leaver.cancel()
        await asyncio.gather(leaver, return_exceptions=True)
        gate.opened.set()
        assert [row["y"][0] for row in await stayer] == [12.0]
        await first
        assert gate.sizes == [1, 1]

    with_batcher(body, gate.run)


def test_a_failed_run_fails_its_waiters_and_no_other() -> None:
    def run(inputs: Row) -> Row:
        if (inputs["x"] < 0).any():
            raise RuntimeError("negative")
        return triple(inputs)

    async def body(batcher: Batcher) -> None:
        with pytest.raises(RuntimeError, match="negative"):
            await batcher.submit(rows([-1]))
        assert batcher.alive
        assert (await batcher.submit(rows([2])))[0]["y"][0] == 6.0

    with_batcher(body, run)


def test_a_full_queue_refuses_at_once_and_names_the_numbers() -> None:
    gate = Gate()

    async def body(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.submit(rows([1])))
        await gate.busy()
        waiting = asyncio.create_task(batcher.submit(rows([1, 2])))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="2 pictures wait, 2 more would pass the limit of 3"):
            await batcher.submit(rows([1, 2]))
        gate.opened.set()
        await asyncio.gather(first, waiting)

    with_batcher(body, gate.run, max_queue_size=3)


def test_stop_lets_the_run_end_and_tells_those_who_wait() -> None:
    gate = Gate()

    async def body(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.submit(rows([1])))
        await gate.busy()
        waiting = asyncio.create_task(batcher.submit(rows([2])))
        await asyncio.sleep(0)
        stopping = asyncio.create_task(batcher.stop())
        gate.opened.set()
        await stopping
        assert (await first)[0]["y"][0] == 3.0
        for late in (waiting, batcher.submit(rows([3]))):
            with pytest.raises(Unloaded):
                await late
        assert not batcher.alive

    with_batcher(body, gate.run)


def test_pictures_of_another_shape_wait_for_the_next_batch() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        shapes = [(2,), (2,), (3,), (2,)]
        queue = deque(
            Waiter({"x": np.zeros(shape, np.float32)}, loop.create_future()) for shape in shapes
        )
        assert [len(take_batch(queue, 8)) for _ in range(3)] == [2, 1, 1]

    asyncio.run(main())


def test_a_run_that_loses_a_row_is_an_error_with_both_numbers() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        batch = [Waiter(row, loop.create_future()) for row in rows([1, 2])]
        with pytest.raises(ValueError, match="output y: 1 rows for a batch of 2"):
            run_batch(lambda inputs: {"y": inputs["x"][:1]}, batch)

    asyncio.run(main())
