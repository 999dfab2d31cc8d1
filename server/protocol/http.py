"""What the answers of the REST protocols share: JSON, and bodies in pieces; and routes."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from server.media_types import JSON
from server.protocol.long_json import json_pieces
from server.rendering import Body

_SENT: Final = 1 << 18  # bytes that are sent at once


class PiecesResponse(Response):
    """A response whose body is sent in pieces, because to join them would hold the interpreter.

    Args:
        pieces: The body.
        status: Its status.
        headers: Its headers, beside Content-Length.
    """

    def __init__(self, pieces: Sequence[Body], status: int, headers: Mapping[str, str]) -> None:
        self.pieces = pieces
        size = sum(map(len, pieces))
        super().__init__(None, status, {**headers, "content-length": str(size)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; other work has its turn between two pieces, even if the client reads at once.

        Each piece is let go of when it is sent: all at once, they too would hold the event loop.
        """
        head = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **head})
        pieces, self.pieces = deque(self.pieces), ()
        for piece in _portions(pieces.popleft() for _ in range(len(pieces))):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def json_response(content: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A response of JSON; numpy arrays are written as nested lists."""
    return response_of(json_pieces(content), status, {"content-type": JSON})


def response_of(pieces: Sequence[Body], status: int, headers: Mapping[str, str]) -> Response:
    """A response whose body is these pieces; a long one is neither joined nor copied at once."""
    if sum(map(len, pieces)) <= _SENT:
        return Response(b"".join(pieces), status, headers)
    return PiecesResponse(pieces, status, headers)


def _portions(pieces: Iterable[Body]) -> Iterator[Body]:
    """The pieces as they are sent: long ones in parts, short ones with those behind them."""
    waiting: list[Body] = []
    size = 0
    for piece in pieces:
        if waiting and size + len(piece) > _SENT:
            yield b"".join(waiting)
            waiting, size = [], 0
        if len(piece) > _SENT:
            whole = memoryview(piece)
            yield from (whole[at : at + _SENT] for at in range(0, len(whole), _SENT))
        else:
            waiting.append(piece)
            size += len(piece)
    if waiting:
        yield b"".join(waiting)


def model_routes(
    suffix: str,
    handler: Callable[[Request], Awaitable[Response]],
    method: str,
    kind: type[Route] = Route,
) -> list[Route]:
    """The routes of `/v2/models/{name}` with `suffix`, without a version and with one."""
    return [
        kind(f"/v2/models/{{name}}{middle}{suffix}", handler, methods=[method])
        for middle in ("", "/versions/{version}")
    ]
