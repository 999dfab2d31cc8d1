import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from contract.scheduling import DynamicBatching, QueuePolicy
from server.batcher import Batcher
from server.delivery import Answer
from server.errors import QueueFull, QueueTimeout, Unloaded
from server.execution import Execution, Row, Run, joined
from server.statistics import Statistics
from tests.virtual_time import VirtualExecutor, run_virtual

Body = Callable[[Batcher], Coroutine[None, None, None]]
SHARED = DynamicBatching()


def triple(inputs: Row) -> Row:
    return {"y": inputs["x"] * np.float32(3)}


def rows(*values: float) -> Row:
    return {"x": np.array(values, np.float32)[:, np.newaxis]}


async def ask(
    batcher: Batcher, *values: float, priority: int = 0, timeout_us: int = 0
) -> list[float]:
    return numbers(await batcher.submit(rows(*values), len(values), priority, timeout_us))


def numbers(answer: Answer) -> list[float]:
    return [float(value) for value in joined(answer.parts, "y")[:, 0]]


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


class Virtual:
    """A batcher in virtual time whose runs take one second; notes when each began."""

    def __init__(self, dynamic: DynamicBatching, instances: int = 1) -> None:
        self.began: list[tuple[float, int]] = []
        execution = Execution((self.run,) * instances, 4)
        executor = VirtualExecutor(lambda: 1.0)
        self.batcher = Batcher(execution, executor, dynamic, 1000, Statistics())

    def run(self, inputs: Row) -> Row:
        self.began.append((asyncio.get_running_loop().time(), len(inputs["x"])))
        return triple(inputs)

    def serve(self, *bodies: Callable[[], Coroutine[None, None, None]]) -> None:
        async def main() -> None:
            self.batcher.start()
            await asyncio.gather(*(body() for body in bodies))
            await self.batcher.stop()

        run_virtual(main())


def after(
    virtual: Virtual, begin_s: float, values: Sequence[float], timeout_us: int = 0
) -> Callable[[], Coroutine[None, None, None]]:
    async def body() -> None:
        await asyncio.sleep(begin_s)
        answer = await ask(virtual.batcher, *values, timeout_us=timeout_us)
        assert answer == [3 * value for value in values]

    return body


HALF_A_MINUTE = DynamicBatching(max_queue_delay_us=30_000_000)


def test_a_lone_client_is_never_kept_waiting() -> None:
    virtual = Virtual(HALF_A_MINUTE)

    async def client() -> None:
        for i in range(5):
            await ask(virtual.batcher, i)

    virtual.serve(client)
    assert virtual.began == [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]


def test_clients_that_were_just_answered_are_waited_for() -> None:
    virtual = Virtual(HALF_A_MINUTE)

    def client(thinks_s: float) -> Callable[[], Coroutine[None, None, None]]:
        async def body() -> None:
            await ask(virtual.batcher, 1)
            await asyncio.sleep(thinks_s)
            await ask(virtual.batcher, 2)

        return body

    virtual.serve(client(1), client(2), client(3))
    assert virtual.began == [(0, 3), (4, 3)]


def test_clients_that_do_not_come_back_are_waited_for_no_longer_than_the_delay() -> None:
    virtual = Virtual(HALF_A_MINUTE)

    virtual.serve(after(virtual, 0, [1]), after(virtual, 0, [2]), after(virtual, 5, [3]))
    assert virtual.began == [(0, 2), (31, 1)]


def test_pictures_that_are_being_decoded_are_waited_for() -> None:
    virtual = Virtual(HALF_A_MINUTE)

    async def slow() -> None:
        with virtual.batcher.coming():
            await asyncio.sleep(20)
        await ask(virtual.batcher, 2)

    virtual.serve(slow, after(virtual, 1, [1]))
    assert virtual.began == [(20, 2)]


def test_nobody_waits_for_a_picture_that_turned_out_bad() -> None:
    virtual = Virtual(HALF_A_MINUTE)

    async def bad() -> None:
        with contextlib.suppress(KeyError), virtual.batcher.coming():
            await asyncio.sleep(20)
            raise KeyError

    virtual.serve(bad, after(virtual, 1, [1]))
    assert virtual.began == [(20, 1)]


def test_a_full_batch_does_not_wait() -> None:
    virtual = Virtual(HALF_A_MINUTE)

    async def slow() -> None:
        with virtual.batcher.coming():
            await asyncio.sleep(20)

    virtual.serve(slow, after(virtual, 1, [1, 2, 3, 4]))
    assert virtual.began == [(1, 4)]


def test_a_request_whose_time_is_over_is_refused_while_the_model_is_busy() -> None:
    policy = QueuePolicy(default_timeout_us=500_000)
    virtual = Virtual(DynamicBatching(policies=(policy,)))

    async def late() -> None:
        await asyncio.sleep(0.25)
        with pytest.raises(QueueTimeout, match="Request timeout expired"):
            await ask(virtual.batcher, 2)
        assert asyncio.get_running_loop().time() == 0.75

    virtual.serve(after(virtual, 0, [1] * 4), late, after(virtual, 0.6, [3]))
    assert virtual.began == [(0, 4), (1, 1)]


def test_a_started_request_has_no_time_limit_any_more() -> None:
    policy = QueuePolicy(default_timeout_us=500_000)
    virtual = Virtual(DynamicBatching(policies=(policy,)))
    virtual.serve(after(virtual, 0, [1] * 12))
    assert virtual.began == [(0, 4), (1, 4), (2, 4)]


def test_a_request_may_shorten_its_time_where_it_is_allowed() -> None:
    policy = QueuePolicy(default_timeout_us=900_000, allow_timeout_override=True)
    virtual = Virtual(DynamicBatching(policies=(policy,)))

    async def late() -> None:
        await asyncio.sleep(0.25)
        with pytest.raises(QueueTimeout):
            await ask(virtual.batcher, 2, timeout_us=250_000)
        assert asyncio.get_running_loop().time() == 0.5

    virtual.serve(after(virtual, 0, [1] * 4), late)


def test_a_delayed_request_gives_way_to_those_in_time() -> None:
    policy = QueuePolicy("DELAY", default_timeout_us=1_500_000)
    virtual = Virtual(DynamicBatching(policies=(policy,)))
    ends: list[tuple[str, float]] = []

    def client(name: str, begin_s: float) -> Callable[[], Coroutine[None, None, None]]:
        async def body() -> None:
            await asyncio.sleep(begin_s)
            await ask(virtual.batcher, *range(4))
            ends.append((name, asyncio.get_running_loop().time()))

        return body

    virtual.serve(client("a", 0), client("b", 0), client("c", 0.1), client("d", 1.2))
    assert ends == [("a", 1), ("b", 2), ("d", 3), ("c", 4)]


def test_preserved_ordering_answers_in_the_order_of_arrival() -> None:
    ends: list[int] = []
    durations = iter([3.0, 1.0, 1.0])

    async def main() -> None:
        execution = Execution((triple,) * 2, 1)
        dynamic = DynamicBatching(preserve_ordering=True)
        executor = VirtualExecutor(lambda: next(durations))
        batcher = Batcher(execution, executor, dynamic, 10, Statistics())
        batcher.start()

        async def client(i: int) -> None:
            await ask(batcher, i)
            ends.append(i)

        await asyncio.gather(*(client(i) for i in range(3)))
        assert asyncio.get_running_loop().time() == 3
        await batcher.stop()

    run_virtual(main())
    assert ends == [0, 1, 2]


def test_preserved_ordering_waits_for_no_one_who_left() -> None:
    async def main() -> None:
        dynamic = DynamicBatching(preserve_ordering=True)
        batcher = Batcher(
            Execution((triple,) * 2, 1), VirtualExecutor(lambda: 5.0), dynamic, 10, Statistics()
        )
        batcher.start()
        leaver = asyncio.create_task(ask(batcher, 1))
        stayers = [asyncio.create_task(ask(batcher, value)) for value in (2, 3)]
        await asyncio.sleep(1)
        leaver.cancel()
        assert await asyncio.gather(*stayers) == [[6.0], [9.0]]
        await batcher.stop()

    run_virtual(main())
