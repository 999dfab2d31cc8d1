"""Clients that do not read their answers, or hold a body back, before a real uvicorn with our protocol."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.protocol.guarded_http import departures_of, guarded

SIZE = 50_000_000
"""More than the sockets between them hold."""

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HOLDS_BACK = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"


async def served(
    read_timeout_s: float,
    client: Callable[[socket.socket, asyncio.Event], Awaitable[int]],
    ask: bytes = ASK,
) -> int:
    """What a client returns that has asked for SIZE bytes; the event is set when it is left."""
    left = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        departures_of(scope).add(left.set)
        await Response(bytes(SIZE))(scope, receive, send)

    protocol = guarded(65536, read_timeout_s)
    config = uvicorn.Config(app, http=protocol, lifespan="off", log_level="error")
    config.timeout_keep_alive = 600
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = asyncio.create_task(server._serve([listening]))
        with socket.create_connection(listening.getsockname()) as asking:
            asking.sendall(ask)
            asking.setblocking(False)
            result = await client(asking, left)
        server.should_exit = True
        await running
    return result


async def read(asking: socket.socket, most: int) -> int:
    """Read up to `most` bytes; returns how many came before the end."""
    count = 0
    while count < most:
        part = await asyncio.get_running_loop().sock_recv(asking, 1 << 16)
        if not part:
            break
        count += len(part)
    return count


def test_a_client_that_reads_nothing_is_left() -> None:
    async def client(asking: socket.socket, left: asyncio.Event) -> int:
        await asyncio.wait_for(left.wait(), 60)
        return await read(asking, SIZE)

    assert 0 < asyncio.run(served(0.2, client)) < SIZE


def test_a_client_that_reads_slowly_gets_all_of_its_answer() -> None:
    """Though it takes longer than a pause may."""

    async def client(asking: socket.socket, left: asyncio.Event) -> int:
        count = 0
        for _ in range(12):
            count += await read(asking, SIZE // 13)
            await asyncio.sleep(0.2)  # the pause is what is tested
        return count + await read(asking, SIZE - count)

    async def run() -> int:
        return await served(2.0, client)

    assert asyncio.run(run()) >= SIZE


def test_a_connection_ends_behind_an_answer_to_a_body_that_was_held_back() -> None:
    """Its client may send the body or leave it out: what would come next cannot be told."""

    async def client(asking: socket.socket, left: asyncio.Event) -> int:
        return await asyncio.wait_for(read(asking, 2 * SIZE), 60)

    async def run() -> int:
        return await served(600, client, HOLDS_BACK)

    assert SIZE < asyncio.run(run()) < 2 * SIZE, "an answer, and then the end"


def test_a_connection_goes_on_behind_a_body_that_came_unasked() -> None:
    async def client(asking: socket.socket, left: asyncio.Event) -> int:
        return await asyncio.wait_for(read(asking, 2 * SIZE), 60)

    async def run() -> int:
        return await served(600, client, HOLDS_BACK + b"x" * 9 + ASK)

    assert asyncio.run(run()) >= 2 * SIZE
