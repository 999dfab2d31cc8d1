"""The batcher in virtual time: who is waited for, how long, and whose time is over."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence

import pytest

from contract.scheduling import DynamicBatching, QueuePolicy
from server.batcher import Batcher
from server.errors import QueueTimeout
from server.execution import Execution, Row
from server.statistics import Statistics
from tests.server.batched import ask, triple
from tests.virtual_time import VirtualExecutor, run_virtual


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
        with virtual.batcher.coming(1):
            await asyncio.sleep(20)
        await ask(virtual.batcher, 2)

    virtual.serve(slow, after(virtual, 1, [1]))
    assert virtual.began == [(20, 2)]


def test_nobody_waits_for_a_picture_that_turned_out_bad() -> None:
    virtual = Virtual(HALF_A_MINUTE)

    async def bad() -> None:
        with contextlib.suppress(KeyError), virtual.batcher.coming(1):
            await asyncio.sleep(20)
            raise KeyError

    virtual.serve(bad, after(virtual, 1, [1]))
    assert virtual.began == [(20, 1)]


def test_a_full_batch_does_not_wait() -> None:
    virtual = Virtual(HALF_A_MINUTE)

    async def slow() -> None:
        with virtual.batcher.coming(1):
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
