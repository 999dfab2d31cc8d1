"""Bodies of requests and answers: read within limits; beside the event loop where they are large."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request

from contract.model_config import Json
from server.json_text import parse_json, parse_json_object
from server.protocol.compression import Decompressor
from server.protocol.guarded_http import departures_of
from server.protocol.http_errors import BodyTooLarge

LARGE: Final = 256 * 1024
"""Bytes from which a body is parsed, or written, in a thread."""

_JOINED: Final = 1 << 20
"""Bytes up to which the pieces of a body are joined on the event loop."""

_DISCARDED_BODIES: Final = 4
"""An oversized body is read to this many limits, so that its sender sees the 413."""

_COPIES: Final = 4
"""Requests whose tensors are copied out of shared memory at once."""

MadeT = TypeVar("MadeT")


class Bodies:
    """Reads bodies.

    Large ones are parsed one at a time, in a thread, and large answers written in another: more
    threads would only take the interpreter from the event loop more often. Copies of shared memory,
    which let the interpreter go, have threads of their own, so that nothing else waits for them.

    Args:
        max_bytes: Largest body, also unpacked.
        max_depth: How deep JSON may nest.
    """

    def __init__(self, max_bytes: int, max_depth: int) -> None:
        self.max_bytes = max_bytes
        self.max_depth = max_depth
        self._parser = ThreadPoolExecutor(1, thread_name_prefix="parse")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._copier = ThreadPoolExecutor(_COPIES, thread_name_prefix="copy")

    def stop(self) -> None:
        """End the threads after what they are at."""
        self._parser.shutdown(cancel_futures=True)
        self._writer.shutdown(cancel_futures=True)
        self._copier.shutdown(cancel_futures=True)

    def received(self, request: Request) -> "Received":
        """The body of a request that is answered in the block of an `async with`.

        If the client closes its connection meanwhile, the block is cancelled.

        Raises:
            ClientDisconnect: The client left.
            BodyTooLarge, RequestError, UnsupportedEncoding: As `read_body`.
        """
        return Received(request, self.max_bytes)

    async def parse(self, size: int, parse: Callable[[], MadeT]) -> MadeT:
        """What `parse` makes of a body, or message, of `size` bytes; in a thread if that is large.

        Raises:
            Exception: Whatever it raises.
        """
        return await _done(parse, size, self._parser)

    async def copy(self, parse: Callable[[], MadeT]) -> MadeT:
        """What `parse` makes of a small request whose tensors lie in shared memory; in a thread.

        Raises:
            Exception: Whatever it raises.
        """
        return await asyncio.get_running_loop().run_in_executor(self._copier, parse)

    async def write(self, size: int, write: Callable[[], MadeT]) -> MadeT:
        """What `write` makes of `size` bytes of outputs; in a thread if they are many.

        Raises:
            Exception: Whatever it raises.
        """
        return await _done(write, size, self._writer)

    async def json(self, body: bytes) -> object:
        """The JSON of a body, whatever its Content-Type says.

        Raises:
            RequestError: It is no JSON, nests too deep, or has too many values.
        """
        return await self.parse(len(body), lambda: parse_json(body, self.max_depth))

    async def json_object(self, request: Request) -> dict[str, Json]:
        """The body of a request that is a JSON object, or nothing, which is the empty object.

        Raises:
            BodyTooLarge, UnsupportedEncoding: As `read_body`.
            RequestError: It is something else.
        """
        body = await read_body(request, self.max_bytes)
        return await self.parse(len(body), lambda: parse_json_object(body, self.max_depth))


async def _done(job: Callable[[], MadeT], size: int, threads: ThreadPoolExecutor) -> MadeT:
    if size <= LARGE:
        return job()
    return await asyncio.get_running_loop().run_in_executor(threads, job)


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Read the request's body, and unpack it as its Content-Encoding says.

    Raises:
        BodyTooLarge: It is over the limit, as it is announced, as it came, or unpacked.
        RequestError: It is not of its Content-Encoding.
        UnsupportedEncoding: That is neither gzip, deflate nor identity.
    """
    _check_announced(request, limit_bytes)
    decompressor = Decompressor(request.headers.get("content-encoding", ""))
    pieces: list[bytes] = []
    received = unpacked = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit_bytes * _DISCARDED_BODIES:
            break
        if max(received, unpacked) > limit_bytes:
            continue
        for piece in decompressor.feed(chunk):
            unpacked += len(piece)
            if unpacked > limit_bytes:
                break
            if piece:
                pieces.append(piece)
            if piece is not chunk:
                await asyncio.sleep(0)  # a small chunk may unpack to the whole limit
    if max(received, unpacked) > limit_bytes:
        raise BodyTooLarge(limit_bytes, unread=received > limit_bytes * _DISCARDED_BODIES)
    decompressor.finish()
    if unpacked <= _JOINED:
        return b"".join(pieces)
    return await asyncio.to_thread(b"".join, pieces)  # lets the interpreter go meanwhile


def _check_announced(request: Request, limit_bytes: int) -> None:
    """Refuse a body before it comes, where its sender waits for that or it would never end."""
    announced = int(request.headers.get("content-length", "0"))
    waits = request.headers.get("expect", "").lower() == "100-continue"
    if announced > limit_bytes * (1 if waits else _DISCARDED_BODIES):
        raise BodyTooLarge(limit_bytes, unread=True)


class Received:
    """A body, and its request as long as it is answered.

    An object with few steps, because each request passes through it.

    Args:
        request: The request.
        limit_bytes: Largest body.
    """

    def __init__(self, request: Request, limit_bytes: int) -> None:
        self._request = request
        self._limit_bytes = limit_bytes
        self._answering: asyncio.Task[Any] | None = None
        self._left = False

    async def __aenter__(self) -> bytes:
        """Read the body, and watch the connection from then on."""
        body = await read_body(self._request, self._limit_bytes)
        self._answering = asyncio.current_task()
        departures_of(self._request.scope).add(self._leave)
        return body

    async def __aexit__(
        self, _type: type[BaseException] | None, err: BaseException | None, _trace: object
    ) -> None:
        """Watch no longer; a cancellation because the client left is that client's."""
        departures_of(self._request.scope).discard(self._leave)
        if self._left and isinstance(err, asyncio.CancelledError):
            assert self._answering is not None  # noqa: S101  # it was entered
            self._answering.uncancel()
            raise ClientDisconnect from None

    def _leave(self) -> None:
        self._left = True
        if self._answering is not None:
            self._answering.cancel()
