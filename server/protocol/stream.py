"""Streams of messages: answered in order, and ended when the server stops."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")

MOST_UNDER_WAY: Final = 64
"""Requests of a stream that are read before the first of them is answered."""

MOST_BYTES_UNDER_WAY: Final = 1 << 26
"""Their bytes; a longer request is under way alone."""


class _Room:
    """What may be under way; one waits for it.

    A client that does not read its answers has them, and their requests, kept here.
    """

    def __init__(self) -> None:
        self._requests = self._bytes = 0
        self._freed = asyncio.Event()

    async def take(self, size: int) -> None:
        """Wait until a request of `size` bytes may be under way too."""
        while self._requests and not self._has(size):
            self._freed.clear()
            await self._freed.wait()
        self._requests += 1
        self._bytes += size

    def give_back(self, size: int) -> None:
        """Note that the answer to a request of `size` bytes was taken."""
        self._requests -= 1
        self._bytes -= size
        self._freed.set()

    def _has(self, size: int) -> bool:
        return self._requests < MOST_UNDER_WAY and self._bytes + size <= MOST_BYTES_UNDER_WAY


async def in_order(
    requests: AsyncIterator[RequestT],
    answer: Callable[[RequestT], Awaitable[AnswerT]],
    stopping: asyncio.Event,
    size_of: Callable[[RequestT], int] = lambda _: 0,
) -> AsyncGenerator[AnswerT, None]:
    """The answers in the order of their requests, of which several are under way at once.

    Once `stopping` is set no more is read, and what was read is answered. Answers that nobody
    waits for any more are cancelled; close the generator for that.

    Args:
        requests: The requests, as they come.
        answer: Answers one; what it raises ends the stream.
        stopping: Set when the server ends.
        size_of: The bytes of a request.
    """
    jobs: asyncio.Queue[tuple[asyncio.Task[AnswerT], int] | None] = asyncio.Queue()
    room = _Room()

    async def read() -> None:
        try:
            async for request in requests:
                size = size_of(request)
                await room.take(size)
                jobs.put_nowait((asyncio.ensure_future(_awaited(answer(request))), size))
        finally:
            jobs.put_nowait(None)

    reader = asyncio.create_task(read())
    stop = asyncio.create_task(stopping.wait())
    stop.add_done_callback(lambda _: reader.cancel())
    try:
        while (job := await jobs.get()) is not None:
            yield await job[0]
            room.give_back(job[1])
    finally:
        stop.cancel()
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        while not jobs.empty():
            if (left := jobs.get_nowait()) is not None:
                left[0].cancel()


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
