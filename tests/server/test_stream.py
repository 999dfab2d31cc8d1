import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from server.protocol.stream import MOST_BYTES_UNDER_WAY, MOST_UNDER_WAY, in_order, until


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def endless() -> AsyncIterator[int]:
    yield 0
    await asyncio.Event().wait()


def test_answers_keep_the_order_whichever_is_ready_first() -> None:
    async def run() -> list[int]:
        last_first = [asyncio.Event() for _ in range(10)]
        last_first[-1].set()

        async def answer(number: int) -> int:
            await last_first[number].wait()
            last_first[number - 1].set()
            return number

        return [one async for one in in_order(numbers(10), answer, asyncio.Event())]

    assert asyncio.run(run()) == list(range(10))


def test_only_so_many_are_under_way() -> None:
    async def run() -> tuple[int, int]:
        begun, release = 0, asyncio.Event()

        async def answer(number: int) -> int:
            nonlocal begun
            begun += 1
            await release.wait()
            return number

        answers = in_order(numbers(500), answer, asyncio.Event())
        first = asyncio.ensure_future(anext(answers))
        for _ in range(1000):
            await asyncio.sleep(0)
        before = begun
        release.set()
        await first
        rest = [one async for one in answers]
        return before, 1 + len(rest)

    assert asyncio.run(run()) == (MOST_UNDER_WAY, 500)


@pytest.mark.parametrize(
    ("size", "most"),
    [
        (MOST_BYTES_UNDER_WAY // 4, 4),
        (MOST_BYTES_UNDER_WAY // 4 + 1, 3),
        (MOST_BYTES_UNDER_WAY * 2, 1),
    ],
)
def test_only_so_many_bytes_are_under_way(size: int, most: int) -> None:
    """Until the client takes an answer: the requests themselves are answered at once."""

    async def run() -> tuple[list[int], int]:
        begun = 0

        async def answer(number: int) -> int:
            nonlocal begun
            begun += 1
            return number

        answers = in_order(numbers(20), answer, asyncio.Event(), lambda _: size)
        seen = []
        for _ in range(2):
            await anext(answers)
            for _ in range(1000):
                await asyncio.sleep(0)
            seen.append(begun)
        rest = [one async for one in answers]
        return seen, 2 + len(rest)

    assert asyncio.run(run()) == ([most, most + 1], 20)


def test_a_stopping_server_answers_what_it_has_read_and_no_more() -> None:
    async def run() -> list[int]:
        stopping = asyncio.Event()

        async def answer(number: int) -> int:
            stopping.set()
            return number

        return [one async for one in in_order(endless(), answer, stopping)]

    assert asyncio.run(run()) == [0]


def test_an_error_ends_the_stream_and_cancels_the_rest() -> None:
    async def run() -> list[int]:
        cancelled: list[int] = []
        all_begun = asyncio.Event()

        async def answer(number: int) -> int:
            if number == 0:
                await all_begun.wait()
                raise ValueError("first")
            if number == 4:
                all_begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(number)
                raise
            return number

        with pytest.raises(ValueError, match="first"):
            async for _ in in_order(numbers(5), answer, asyncio.Event()):
                pass
        await asyncio.sleep(0)
        return sorted(cancelled)

    assert asyncio.run(run()) == [1, 2, 3, 4]


def test_a_closed_stream_leaves_no_task() -> None:
    async def run() -> int:
        async def answer(number: int) -> int:
            if number:
                await asyncio.Event().wait()
            return number

        async with contextlib.aclosing(in_order(numbers(20), answer, asyncio.Event())) as answers:
            await anext(answers)
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1


def test_messages_end_when_the_server_stops() -> None:
    async def run() -> list[int]:
        stopping = asyncio.Event()
        seen = []
        async for message in until(endless(), stopping):
            seen.append(message)
            stopping.set()
        return seen

    assert asyncio.run(run()) == [0]
