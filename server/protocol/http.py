"""What the REST protocols share: bodies in, JSON out, errors as {"error": text}."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from server.errors import BodyTooLarge, NotAcceptable, RequestError, ServerError

logger = logging.getLogger(__name__)

JSON: Final = "application/json"

_JSON_OPTIONS = orjson.OPT_SERIALIZE_NUMPY
_DISCARDED_BODIES = (
    4  # an oversized body is read to this many limits, so that its sender sees the 413
)


def json_response(content: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A response of JSON; numpy arrays are written as nested lists."""
    body = orjson.dumps(content, option=_JSON_OPTIONS)
    return Response(body, status_code=status, media_type=JSON)


def error_response(err: ServerError) -> Response:
    """The error in the form that every surface shares."""
    response = json_response({"error": str(err)}, err.status)
    if err.retry_after_s is not None:
        response.headers["Retry-After"] = str(err.retry_after_s)
    return response


async def on_server_error(request: Request, err: Exception) -> Response:
    """Answer an error of ours with its status and one line in the log."""
    assert isinstance(err, ServerError)  # noqa: S101  # registered for this type alone
    level = logging.INFO if err.status < HTTPStatus.INTERNAL_SERVER_ERROR else logging.WARNING
    logger.log(level, "refused path=%s status=%d error=%s", request.url.path, err.status, err)
    return error_response(err)


async def on_http_exception(_request: Request, err: Exception) -> Response:
    """Answer an unknown path or method."""
    assert isinstance(err, HTTPException)  # noqa: S101  # registered for this type alone
    response = json_response({"error": err.detail}, HTTPStatus(err.status_code))
    response.headers.update(err.headers or {})
    return response


async def on_disconnect(request: Request, _err: Exception) -> Response:
    """Note a client that left while it was sending; nobody reads this response."""
    logger.info("client left path=%s", request.url.path)
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def on_internal_error(_request: Request, _err: Exception) -> Response:
    """Answer an error of this program; uvicorn writes its traceback to the log."""
    return json_response(
        {"error": "internal error; see the server's log"}, HTTPStatus.INTERNAL_SERVER_ERROR
    )


ERROR_HANDLERS: Final[Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]]] = {
    ServerError: on_server_error,
    HTTPException: on_http_exception,
    ClientDisconnect: on_disconnect,
    Exception: on_internal_error,
}


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Read the request's body.

    Raises:
        BodyTooLarge: It is over the limit.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit_bytes:
            chunks.append(chunk)
        elif size > limit_bytes * _DISCARDED_BODIES:
            break
    if size > limit_bytes:
        raise BodyTooLarge(limit_bytes)
    return b"".join(chunks)


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


def parse_json(body: bytes | memoryview) -> object:
    """Parse a body of JSON, whatever its Content-Type says.

    Raises:
        RequestError: It is not JSON.
    """
    try:
        parsed: object = orjson.loads(body)
    except orjson.JSONDecodeError as err:
        raise RequestError(f"body is not JSON: {err}") from err
    return parsed
