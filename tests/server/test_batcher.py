"""The batcher over threads: what shares a run, what waits, and what fails."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from contract.scheduling import DynamicBatching, QueuePolicy
from server.batcher import Batcher
from server.errors import QueueFull, Unloaded
from server.execution import Execution, Row, Run, joined
from server.statistics import Statistics
from tests.server.batched import Gate, ask, started, triple

Body = Callable[[Batcher], Coroutine[None, None, None]]
SHARED = DynamicBatching()


def with_batcher(
    body: Body,
    run: Run = triple,
    *,
    dynamic: DynamicBatching | None = SHARED,
    batch_size: int = 8,
    max_queue_size: int = 1000,
    instances: int = 1,
) -> Statistics:
    statistics = Statistics()

    async def main() -> None:
        with ThreadPoolExecutor(instances) as executor:
            execution = Execution((run,) * instances, batch_size)
            batcher = Batcher(execution, executor, dynamic, max_queue_size, statistics)
            batcher.start()
            try:
                await body(batcher)
            finally:
                await batcher.stop()

    asyncio.run(main())
    return statistics


def test_batched_answers_equal_unbatched_ones_on_random_rows() -> None:
    rng = np.random.default_rng(0)
    requests = [list(map(float, rng.normal(size=size))) for size in rng.integers(1, 20, 50)]

    async def body(batcher: Batcher) -> None:
        answers = await asyncio.gather(*(ask(batcher, *values) for values in requests))
        for values, answer in zip(requests, answers, strict=True):
            np.testing.assert_array_equal(answer, np.array(values, np.float32) * 3)

    with_batcher(body)


def test_requests_that_wait_share_one_run() -> None:
    gate = Gate()

    async def body(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, 1))
        await gate.busy()
        rest = await started(*(ask(batcher, i) for i in range(5)))
        gate.opened.set()
        await asyncio.gather(first, *rest)

    statistics = with_batcher(body, gate.run)
    assert gate.sizes == [1, 5]
    assert statistics.execution_count == 2
    assert {size: batch.compute_infer.count for size, batch in statistics.batches.items()} == {
        1: 1,
        5: 1,
    }


def test_without_dynamic_batching_each_request_has_a_run_of_its_own() -> None:
    gate = Gate()
    gate.opened.set()

    async def body(batcher: Batcher) -> None:
        await asyncio.gather(ask(batcher, 1, 2), ask(batcher, 3), ask(batcher, *range(10)))

    with_batcher(body, gate.run, dynamic=None)
    assert gate.sizes == [2, 1, 8, 2]


def test_a_request_larger_than_the_maximum_is_split_in_order() -> None:
    gate = Gate()
    gate.opened.set()

    async def body(batcher: Batcher) -> None:
        assert await ask(batcher, *range(20)) == [3.0 * i for i in range(20)]

    with_batcher(body, gate.run)
    assert gate.sizes == [8, 8, 4]


def test_preferred_sizes_are_formed_from_what_waits() -> None:
    gate = Gate()

    async def body(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, 1))
        await gate.busy()
        rest = await started(*(ask(batcher, i) for i in range(7)))
        gate.opened.set()
        await asyncio.gather(first, *rest)

    with_batcher(body, gate.run, dynamic=DynamicBatching((2, 4)), batch_size=4)
    assert gate.sizes == [1, 4, 2, 1]


def test_instances_run_at_once_and_share_the_queue() -> None:
    gate = Gate()

    async def body(batcher: Batcher) -> None:
        tasks = [asyncio.create_task(ask(batcher, 1))]
        await gate.busy()
        tasks.append(asyncio.create_task(ask(batcher, *range(10))))
        await gate.busy()
        await gate.busy()
        gate.opened.set()
        assert (await asyncio.gather(*tasks))[1] == [3.0 * i for i in range(10)]

    with_batcher(body, gate.run, instances=3)
    assert sorted(gate.sizes) == [1, 2, 8]


def test_batcher_skips_a_waiter_that_left() -> None:
    gate = Gate()

    async def body(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, 1))
        await gate.busy()
        leaver, stayer = await started(ask(batcher, 2, 3), ask(batcher, 4))
        leaver.cancel()
        await asyncio.gather(leaver, return_exceptions=True)
        gate.opened.set()
        assert await stayer == [12.0]
        await first

    statistics = with_batcher(body, gate.run)
    assert gate.batches == [[1], [4]]
    assert statistics.pending == 0


def test_a_client_that_left_makes_room_in_the_queue() -> None:
    gate = Gate()

    async def body(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, 1))
        await gate.busy()
        (leaver,) = await started(ask(batcher, 2, 3))
        leaver.cancel()
        await asyncio.gather(leaver, return_exceptions=True)
        (stayer,) = await started(ask(batcher, 4, 5))
        gate.opened.set()
        assert await stayer == [12.0, 15.0]
        await first

    with_batcher(body, gate.run, max_queue_size=2)


def test_a_bad_request_fails_and_its_batch_mates_are_answered() -> None:
    gate = Gate()

    def run(inputs: Row) -> Row:
        outputs = gate.run(inputs)
        if (inputs["x"] < 0).any():
            raise RuntimeError("negative")
        return outputs

    async def body(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, 0))
        await gate.busy()
        tasks = await started(ask(batcher, 1, 2), ask(batcher, -1), ask(batcher, 3))
        gate.opened.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert answers[0] == [3.0, 6.0]
        assert isinstance(answers[1], RuntimeError)
        assert answers[2] == [9.0]
        assert batcher.alive
        await first

    statistics = with_batcher(body, run)
    assert gate.batches == [[0], [1, 2, -1, 3], [1, 2], [-1], [3]]
    assert statistics.execution_count == 3


def test_rows_behind_a_failed_piece_of_their_request_are_not_run() -> None:
    calls: list[int] = []

    def run(inputs: Row) -> Row:
        calls.append(len(inputs["x"]))
        raise RuntimeError("broken")

    async def body(batcher: Batcher) -> None:
        with pytest.raises(RuntimeError, match="broken"):
            await ask(batcher, *range(20))

    with_batcher(body, run)
    assert calls == [8]


def test_a_full_queue_refuses_at_once_and_names_the_numbers() -> None:
    gate = Gate()

    async def body(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, 1))
        await gate.busy()
        (waiting,) = await started(ask(batcher, 1, 2))
        with pytest.raises(QueueFull, match="2 pictures wait, 2 more would pass the limit of 3"):
            await ask(batcher, 1, 2)
        gate.opened.set()
        await asyncio.gather(first, waiting)

    with_batcher(body, gate.run, max_queue_size=3)


def test_rows_that_are_still_being_made_have_their_room() -> None:
    gate = Gate()

    async def body(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, 1))
        await gate.busy()
        with batcher.coming(2):
            (waiting,) = await started(ask(batcher, 1))
            with pytest.raises(
                QueueFull, match="3 pictures wait, 1 more would pass the limit of 3"
            ):
                await ask(batcher, 1)
            with pytest.raises(QueueFull, match="3 pictures wait"), batcher.coming(1):
                pass
        (came,) = await started(ask(batcher, 1, 2))
        gate.opened.set()
        await asyncio.gather(first, waiting, came)

    with_batcher(body, gate.run, max_queue_size=3)


def test_each_level_has_its_own_limit_of_requests() -> None:
    gate = Gate()
    policies = (QueuePolicy(max_queue_size=1), QueuePolicy())

    async def body(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, 1))
        await gate.busy()
        waiting = await started(ask(batcher, 2, priority=1), ask(batcher, 3, priority=2))
        with pytest.raises(QueueFull, match="1 requests wait, 1 more would pass the limit of 1"):
            await ask(batcher, 4, priority=1)
        waiting += await started(ask(batcher, 5, priority=2))
        gate.opened.set()
        await asyncio.gather(first, *waiting)

    with_batcher(body, gate.run, dynamic=DynamicBatching(policies=policies))


def test_urgent_requests_come_first_and_levels_share_runs() -> None:
    gate = Gate()
    dynamic = DynamicBatching(default_priority_level=2, policies=(QueuePolicy(),) * 3)

    async def body(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, 0))
        await gate.busy()
        asked = [(1, 3), (2, 0), (3, 1), (4, 2), (5, 1)]
        tasks = await started(*(ask(batcher, value, priority=level) for value, level in asked))
        gate.opened.set()
        await asyncio.gather(first, *tasks)

    with_batcher(body, gate.run, dynamic=dynamic, batch_size=3)
    assert gate.batches == [[0], [3, 5, 2], [4, 1]]


def test_stop_lets_the_run_end_and_tells_those_who_wait() -> None:
    gate = Gate()

    async def body(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, 1))
        await gate.busy()
        (waiting,) = await started(ask(batcher, 2))
        stopping = asyncio.create_task(batcher.stop())
        await asyncio.sleep(0)
        gate.opened.set()
        await stopping
        assert await first == [3.0]
        for late in (waiting, ask(batcher, 3)):
            with pytest.raises(Unloaded):
                await late
        assert not batcher.alive

    assert with_batcher(body, gate.run).pending == 0


def test_rows_of_another_shape_wait_for_the_next_batch() -> None:
    shapes: list[tuple[int, ...]] = []

    def run(inputs: Row) -> Row:
        shapes.append(inputs["x"].shape)
        return inputs

    async def body(batcher: Batcher) -> None:
        widths = (2, 2, 3, 2)
        asked = [{"x": np.full((1, width), width, np.float32)} for width in widths]
        answers = await asyncio.gather(*(batcher.submit(inputs, 1) for inputs in asked))
        for answer, inputs in zip(answers, asked, strict=True):
            np.testing.assert_array_equal(joined(answer.parts, "x"), inputs["x"])

    with_batcher(body, run)
    assert shapes == [(2, 2), (1, 3), (1, 2)]


def test_a_model_without_a_batch_axis_runs_each_request_as_it_is() -> None:
    shapes: list[tuple[int, ...]] = []

    def run(inputs: Row) -> Row:
        shapes.append(inputs["x"].shape)
        return {"total": inputs["x"].sum()}

    async def body(batcher: Batcher) -> None:
        tensors = [np.ones(shape, np.float32) for shape in ((), (3,), (2, 2))]
        answers = await asyncio.gather(*(batcher.submit({"x": one}, 1) for one in tensors))
        assert [float(joined(answer.parts, "total")) for answer in answers] == [1, 3, 4]

    statistics = with_batcher(body, run, batch_size=0)
    assert shapes == [(), (3,), (2, 2)]
    assert statistics.batches[1].compute_infer.count == 3


def test_a_run_that_loses_a_row_is_an_error_with_both_numbers() -> None:
    async def body(batcher: Batcher) -> None:
        with pytest.raises(ValueError, match="output y: 1 rows for a batch of 2"):
            await ask(batcher, 1, 2)

    with_batcher(body, lambda inputs: {"y": inputs["x"][:1]})
