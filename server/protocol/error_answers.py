"""Errors of REST: {"error": text} to the client, a line with the request's id to the log."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import ServerError
from server.protocol.http import json_response
from server.protocol.http_errors import GivenUp, InternalError, UnsupportedEncoding

logger = logging.getLogger(__name__)

ID_HEADERS: Final = ("triton-request-id", "x-request-id")
"""Headers that name a request whose body does not."""

_LONGEST_ID: Final = 100


def name_request(request: Request, request_id: str) -> None:
    """Note the id that a request's body gives it, for the log."""
    if request_id:
        request.state.request_id = request_id


def id_for_log(request_id: object) -> str:
    """A client's name for a request on one short line; "-" for none."""
    return repr(str(request_id)[:_LONGEST_ID])[1:-1] if request_id else "-"


def note_refusal(request: Request, err: ServerError) -> None:
    """Write one line to the log."""
    level = logging.INFO if err.status < HTTPStatus.INTERNAL_SERVER_ERROR else logging.WARNING
    logger.log(level, "refused %s status=%d error=%s", _described(request), err.status, err)


async def on_server_error(request: Request, err: Exception) -> Response:
    """Answer an error of ours with its status and one line in the log."""
    assert isinstance(err, ServerError)  # noqa: S101  # registered for this type alone
    note_refusal(request, err)
    return error_response(err)


def error_response(err: ServerError) -> Response:
    """The answer to an error of ours."""
    response = json_response({"error": str(err)}, err.status)
    if err.retry_after_s is not None:
        response.headers["Retry-After"] = str(err.retry_after_s)
    if isinstance(err, UnsupportedEncoding):
        response.headers["Accept-Encoding"] = "gzip, deflate"
    return ending(response, err)


def ending(response: Response, err: ServerError) -> Response:
    """The answer to an error, behind which the connection is closed if it can have no other request."""
    if err.ends_connection:
        response.headers["Connection"] = "close"
    return response


async def on_http_exception(_request: Request, err: Exception) -> Response:
    """Answer an unknown path or method."""
    assert isinstance(err, HTTPException)  # noqa: S101  # registered for this type alone
    response = json_response({"error": err.detail}, HTTPStatus(err.status_code))
    response.headers.update(err.headers or {})
    return response


async def on_disconnect(request: Request, _err: Exception) -> Response:
    """Note a client that left before it had its answer; nobody reads this response."""
    logger.info("client left %s", _described(request))
    return Response(status_code=HTTPStatus.BAD_REQUEST)


class LastAnswers:
    """ASGI middleware: answers a request that the application does not.

    An error of this program is one; its traceback goes to the log, once. Starlette would raise
    again what a handler of `Exception` has answered, and uvicorn log that without the request's id.
    A request that is cancelled because the server ends is another; uvicorn would log its traceback.

    Args:
        app: What it stands before.
        answer: What the client is told of an error.
    """

    def __init__(
        self, app: ASGIApp, answer: Callable[[ServerError], Response] = error_response
    ) -> None:
        self._app = app
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        started = False

        async def noting_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        response: Response
        try:
            await self._app(scope, receive, noting_send)
        except asyncio.CancelledError:
            note_refusal(Request(scope), GivenUp())
            response = self._answer(GivenUp())
        except Exception:
            logger.exception("internal error %s", _described(Request(scope)))
            response = self._answer(InternalError())
        else:
            return
        if not started:  # else it is too late for an answer; uvicorn closes the connection
            await response(scope, receive, send)


def _described(request: Request) -> str:
    return f"path={request.url.path} request_id={id_for_log(_request_id(request))}"


def _request_id(request: Request) -> str:
    noted: str | None = getattr(request.state, "request_id", None)
    named = (request.headers.get(header) for header in ID_HEADERS)
    return noted or next((name for name in named if name), "")


ERROR_HANDLERS: Final[Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]]] = {
    ServerError: on_server_error,
    HTTPException: on_http_exception,
    ClientDisconnect: on_disconnect,
}
