"""`preserve_ordering`: whoever came first has his answer first."""

import asyncio
import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.in_order import InOrder
from tests.virtual_time import run_virtual


async def answer(order: InOrder, name: int, seconds: float, ended: list[tuple[int, float]]) -> None:
    """A request that takes some seconds by itself; -1 s is one that fails at once."""
    async with order.turn():
        if seconds < 0:
            raise ArithmeticError
        await asyncio.sleep(seconds)
    ended.append((name, asyncio.get_running_loop().time()))


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 5.0, -1.0]), min_size=1, max_size=8))
def test_each_is_answered_when_it_and_all_before_it_are_done(durations: Sequence[float]) -> None:
    ended: list[tuple[int, float]] = []

    async def main() -> None:
        order = InOrder()
        tasks = [answer(order, i, seconds, ended) for i, seconds in enumerate(durations)]
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtual(main())
    good = [i for i, seconds in enumerate(durations) if seconds >= 0]
    assert [name for name, _ in ended] == good
    assert [end for _, end in ended] == [max(durations[: i + 1]) for i in good]


def test_nobody_waits_for_one_who_left_but_for_those_before_him() -> None:
    ended: list[tuple[int, float]] = []

    async def main() -> None:
        order = InOrder()
        first, leaver, last = (
            asyncio.create_task(answer(order, i, seconds, ended))
            for i, seconds in enumerate((3.0, 9.0, 1.0))
        )
        await asyncio.sleep(2)
        leaver.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leaver
        await asyncio.gather(first, last)

    run_virtual(main())
    assert ended == [(0, 3), (2, 3)]


def test_a_request_that_fails_raises_at_once() -> None:
    async def main() -> None:
        order = InOrder()
        slow = asyncio.create_task(answer(order, 0, 5.0, []))
        await asyncio.sleep(0)
        with pytest.raises(ArithmeticError):
            await answer(order, 1, -1.0, [])
        assert asyncio.get_running_loop().time() == 0
        await slow

    run_virtual(main())
