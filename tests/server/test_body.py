"""Whichever way a request ends, it gives back the bytes that it had of those in flight."""

import asyncio
import gzip
from collections.abc import Mapping

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from server.errors import InFlightFull, RequestError
from server.protocol.body import Bodies
from server.protocol.http_errors import BodyTooLarge

LIMIT = 1000
LEFT: Message = {"type": "http.disconnect"}


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def request(*messages: Message, headers: Mapping[bytes, bytes] | None = None) -> Request:
    """A request that comes as these messages."""
    coming = iter(messages)

    async def receive() -> Message:
        return next(coming)

    scope = {"type": "http", "headers": list((headers or {}).items()), "method": "POST"}
    return Request(scope, receive)


async def read(bodies: Bodies, asked: Request) -> int:
    """The bytes in flight while the request is answered."""
    async with bodies.received(asked):
        return bodies.in_flight.held_bytes


GZIPPED = {b"content-encoding": b"gzip"}


@pytest.mark.parametrize(
    ("messages", "headers", "held"),
    [
        pytest.param([part(b"x" * 400, more=True), part(b"x" * 300)], {}, 700, id="parts"),
        pytest.param([part(gzip.compress(bytes(900)))], GZIPPED, 900, id="unpacked"),
        pytest.param([part(b"")], {}, 0, id="nothing"),
    ],
)
def test_a_body_is_held_until_its_request_is_answered(
    messages: list[Message], headers: Mapping[bytes, bytes], held: int
) -> None:
    bodies = Bodies(LIMIT, 10, LIMIT)
    assert asyncio.run(read(bodies, request(*messages, headers=headers))) == held
    assert bodies.in_flight.held_bytes == 0
    bodies.stop()


@pytest.mark.parametrize(
    ("messages", "headers", "error"),
    [
        pytest.param([part(b"x" * 400, more=True), LEFT], {}, ClientDisconnect, id="left"),
        pytest.param(
            [part(b"x" * 700, more=True), part(b"x" * 700)], {}, BodyTooLarge, id="too large"
        ),
        pytest.param([part(gzip.compress(bytes(1100)))], GZIPPED, BodyTooLarge, id="unpacked"),
        pytest.param([part(gzip.compress(bytes(900))[:-9])], GZIPPED, RequestError, id="cut"),
    ],
)
def test_a_body_that_fails_holds_nothing(
    messages: list[Message], headers: Mapping[bytes, bytes], error: type[Exception]
) -> None:
    bodies = Bodies(LIMIT, 10, LIMIT)
    for reads in (read, Bodies.json_object):
        with pytest.raises(error):
            asyncio.run(reads(bodies, request(*messages, headers=headers)))
        assert bodies.in_flight.held_bytes == 0
    bodies.stop()


def test_a_body_that_finds_no_room_leaves_it_to_the_others() -> None:
    bodies = Bodies(LIMIT, 10, LIMIT)

    async def run() -> None:
        async with bodies.received(request(part(b"x" * 600))):
            late = request(part(b"x" * 300, more=True), part(b"x" * 300, more=True), part(b"x"))
            with pytest.raises(InFlightFull):
                await read(bodies, late)
            assert bodies.in_flight.held_bytes == 600
            assert await read(bodies, request(part(b"x" * 400))) == 1000

    asyncio.run(run())
    assert bodies.in_flight.held_bytes == 0
    bodies.stop()


def test_an_answer_that_is_cancelled_holds_nothing() -> None:
    bodies = Bodies(LIMIT, 10, LIMIT)

    async def answer(read: asyncio.Event) -> None:
        async with bodies.received(request(part(b"x" * 600))):
            read.set()
            await asyncio.Event().wait()

    async def run() -> None:
        read = asyncio.Event()
        answering = asyncio.create_task(answer(read))
        await read.wait()
        assert bodies.in_flight.held_bytes == 600
        answering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answering

    asyncio.run(run())
    assert bodies.in_flight.held_bytes == 0
    bodies.stop()
