"""Streams of messages: answered in order, and ended when the server stops."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")

MOST_UNDER_WAY: Final = 64
"""Requests of a stream that are read before the first of them is answered."""


async def in_order(
    requests: AsyncIterator[RequestT],
    answer: Callable[[RequestT], Awaitable[AnswerT]],
    stopping: asyncio.Event,
) -> AsyncGenerator[AnswerT, None]:
    """The answers in the order of their requests, of which several are under way at once.

    Once `stopping` is set no more is read, and what was read is answered. Answers that nobody
    waits for any more are cancelled; close the generator for that.

    Args:
        requests: The requests, as they come.
        answer: Answers one; what it raises ends the stream.
        stopping: Set when the server ends.
    """
    jobs: asyncio.Queue[asyncio.Task[AnswerT] | None] = asyncio.Queue()
    room = asyncio.Semaphore(MOST_UNDER_WAY)

    async def read() -> None:
        try:
            async for request in requests:
                await room.acquire()
                jobs.put_nowait(asyncio.ensure_future(_awaited(answer(request))))
        finally:
            jobs.put_nowait(None)

    reader = asyncio.create_task(read())
    stop = asyncio.create_task(stopping.wait())
    stop.add_done_callback(lambda _: reader.cancel())
    try:
        while (job := await jobs.get()) is not None:
            yield await job
            room.release()
    finally:
        stop.cancel()
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        while not jobs.empty():
            if (left := jobs.get_nowait()) is not None:
                left.cancel()


async def until(
    messages: AsyncIterator[RequestT], stopping: asyncio.Event
) -> AsyncGenerator[RequestT, None]:
    """The messages that come before `stopping` is set."""

    async def same(message: RequestT) -> RequestT:
        return message

    async for message in in_order(messages, same, stopping):
        yield message


async def _awaited(answer: Awaitable[AnswerT]) -> AnswerT:
    return await answer
