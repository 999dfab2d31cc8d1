"""What the answers of the REST protocols share: JSON, media types, compression; and routes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.errors import NotAcceptable, RequestError
from server.protocol.compression import choose_encoding, compress

JSON: Final = "application/json"

_JSON_OPTIONS = orjson.OPT_SERIALIZE_NUMPY
_PIECE: Final = 1 << 16
_FEW: Final = 16
_SMALLEST_COMPRESSED: Final = 1024  # a packet or less gains nothing
_LARGE_BODY: Final = 64 * 1024  # more is packed in a thread


def json_response(content: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A response of JSON; numpy arrays are written as nested lists."""
    body = orjson.dumps(content, option=_JSON_OPTIONS)
    return Response(body, status_code=status, media_type=JSON)


def flat_json(data: NDArray[np.generic] | list[str]) -> object:
    """A flat list for `json_response`; a long one is written already, in pieces.

    Writing numbers holds the interpreter, and of some million for too long.
    """
    if len(data) <= _PIECE:
        return data
    pieces = (data[start : start + _PIECE] for start in range(0, len(data), _PIECE))
    written = (orjson.dumps(piece, option=_JSON_OPTIONS)[1:-1] for piece in pieces)
    return orjson.Fragment(b"[%b]" % b",".join(written))


async def list_json(items: object) -> object:
    """A list for `json_response`; one of many items is written already, in a thread.

    One item at a time, because writing holds the interpreter; what is no list is given back.
    """
    if not isinstance(items, list) or len(items) <= _FEW:
        return items
    return await asyncio.to_thread(_written_list, items)


def _written_list(items: Sequence[object]) -> orjson.Fragment:
    written = (orjson.dumps(item, option=_JSON_OPTIONS) for item in items)
    return orjson.Fragment(b"[%b]" % b",".join(written))


async def encoded_response(response: Response, accept_encoding: str | None) -> Response:
    """The response with its body compressed, if the client prefers that and it is worth it."""
    body = bytes(response.body)
    if len(body) < _SMALLEST_COMPRESSED:
        return response
    encoding = choose_encoding(accept_encoding)
    if encoding == "identity":
        return response
    if len(body) > _LARGE_BODY:
        packed = await asyncio.to_thread(compress, body, encoding)
    else:
        packed = compress(body, encoding)
    headers = {**response.headers, "content-encoding": encoding, "content-length": str(len(packed))}
    return Response(packed, response.status_code, headers)


def choose_media_type(accept: str | None, offered: Sequence[str]) -> str:
    """The media type of `offered` that an Accept header prefers; the first for none or */*.

    Source: RFC 9110, section 12.5.1.

    Raises:
        NotAcceptable: It accepts none of them.
    """
    for wanted in _by_preference(accept or "*/*"):
        for media_type in offered:
            if wanted in (media_type, "*/*", media_type.partition("/")[0] + "/*"):
                return media_type
    raise NotAcceptable(accept or "", offered)


def _by_preference(accept: str) -> list[str]:
    """The media ranges of an Accept header, without those of quality 0, best first."""
    ranges: list[tuple[float, str]] = []
    for entry in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in entry.split(";"))
        quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        try:
            ranges.append((float(quality), media_range))
        except ValueError as err:
            raise RequestError(f"Accept is {accept!r}; quality {quality!r} is no number") from err
    return [one for quality, one in sorted(ranges, key=lambda pair: -pair[0]) if quality > 0]


def model_routes(
    suffix: str, handler: Callable[[Request], Awaitable[Response]], method: str
) -> list[Route]:
    """The routes of `/v2/models/{name}` with `suffix`, without a version and with one."""
    return [
        Route(f"/v2/models/{{name}}{middle}{suffix}", handler, methods=[method])
        for middle in ("", "/versions/{version}")
    ]
