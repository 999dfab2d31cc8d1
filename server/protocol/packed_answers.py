"""Accept-Encoding: an answer of 1 KiB or more is packed where its client asks for it.

The whole body is held until it is packed, so that its length can be told: a proxy that speaks
HTTP/1.0 takes no chunks.

Of V2 it is the answers of inference alone, as with Triton, and no error: tritonclient's HTTP-aio client
asks for packed answers by itself, in every request, and unpacks none but those.
"""

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.protocol.compression import choose_encoding, compress
from server.protocol.http import response_of
from server.rendering import Body
from server.turns import beside_loop

_SMALLEST: Final = 1024  # a packet or less gains nothing
_LARGE: Final = 64 * 1024  # more is packed in a thread


class PackedAnswers:
    """ASGI middleware: packs the bodies of answers.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back, packed if its client prefers that."""
        headers = scope.get("headers", ())  # as they are, because this is asked of each request
        asked = next((value for name, value in headers if name == b"accept-encoding"), b"")
        packs = asked and _is_unpacked(scope["path"])
        encoding = choose_encoding(asked.decode("latin-1")) if packs else "identity"
        if encoding == "identity":
            await self._app(scope, receive, send)
            return
        head: Message = {}
        pieces: list[Body] = []

        async def keeping_send(message: Message) -> None:
            nonlocal head
            if head:
                pieces.append(message["body"])
            elif message["type"] == "http.response.start" and _gains(message):
                head = message
            else:
                await send(message)

        await self._app(scope, receive, keeping_send)
        if head:
            response = await _packed(head, pieces, encoding)
            await response(scope, receive, send)


def _is_unpacked(path: str) -> bool:
    """Whether all clients that ask for packed answers of a path can read them."""
    return not path.startswith("/v2/") or path.endswith("/infer")


def _gains(head: Message) -> bool:
    """Whether it is worth it to pack the body behind this start of an answer."""
    headers = Headers(raw=head["headers"])
    picture = headers.get("content-type", "").startswith("image/")
    long = int(headers.get("content-length", "0")) >= _SMALLEST
    return head["status"] == HTTPStatus.OK and long and not picture


async def _packed(head: Message, pieces: Sequence[Body], encoding: str) -> Response:
    size = sum(map(len, pieces))
    packed = await beside_loop(size, partial(compress, pieces, encoding), _LARGE)
    headers = {**Headers(raw=head["headers"]), "content-encoding": encoding}
    del headers["content-length"]  # of what was packed
    return response_of(packed, head["status"], headers)
