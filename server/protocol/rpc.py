"""Methods on protobuf messages -> gRPC handlers that answer errors with their status."""

import asyncio
import itertools
import logging
import string
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import quote

import grpc
from google.protobuf.message import DecodeError, Message

from server.errors import RequestError, ServerError
from server.protocol.error_answers import ID_HEADERS, id_for_log
from server.protocol.http_errors import INTERNAL_ERROR
from server.protocol.v2 import Handler

logger = logging.getLogger(__name__)

_LONGEST_STATUS: Final = 6000  # bytes, of which other metadata need some
MAX_SMALL_MESSAGE_BYTES: Final = 1 << 20
"""A message that is parsed on the event loop; only ModelInfer, ModelStreamInfer and
RepositoryModelLoad take more."""

_UNQUOTED: Final = string.punctuation.replace("%", "") + " "

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT", bound=Message | bytes)


def unary(
    method: Callable[[RequestT], Awaitable[ResponseT]],
    read: Callable[[bytes], RequestT],
    longest: int | None = MAX_SMALL_MESSAGE_BYTES,
) -> Handler:
    """A handler that answers errors with their status: ours in words, any other as internal.

    Args:
        method: What answers.
        read: Makes its request of a message's bytes.
        longest: How many these may be; None leaves that to gRPC's own limit.
    """

    async def answer(wire: bytes, context: grpc.aio.ServicerContext[bytes, ResponseT]) -> ResponseT:
        request: RequestT | None = None
        try:
            request = understood(read, wire, longest)
            return await method(request)
        except Exception as err:
            await abort(context, method.__name__, err, getattr(request, "id", ""))

    return grpc.unary_unary_rpc_method_handler(answer, response_serializer=serialize)


def understood(
    read: Callable[[bytes], RequestT], wire: bytes, longest: int | None = MAX_SMALL_MESSAGE_BYTES
) -> RequestT:
    """What `read` makes of a message's bytes.

    Raises:
        RequestError: They are no such message, or more than `longest`.
    """
    if longest is not None and len(wire) > longest:
        raise RequestError(
            f"the request is {len(wire)} bytes; a message of this method has at most {longest}"
        )
    try:
        return read(wire)
    except DecodeError as err:
        raise RequestError(
            f"the {len(wire)} bytes of the request are not the message of this method"
        ) from err


async def read_or_abort(
    rpc: str,
    read: Callable[[bytes], RequestT],
    wire: bytes,
    context: "grpc.aio.ServicerContext[Any, Any]",
) -> RequestT:
    """What `read` makes of a message's bytes; the call ends if they are none, or too many."""
    try:
        return understood(read, wire)
    except RequestError as err:
        await abort(context, rpc, err)


async def abort(
    context: "grpc.aio.ServicerContext[Any, Any]", rpc: str, err: Exception, request_id: str = ""
) -> NoReturn:
    """End a call with the status and text of an error, and a line in the log."""
    headers = dict(context.invocation_metadata() or ())
    named = (str(headers[header]) for header in ID_HEADERS if header in headers)
    code, text = describe(rpc, err, request_id or next(named, ""))
    await end(context, rpc, code, text)


async def end(
    context: "grpc.aio.ServicerContext[Any, Any]", rpc: str, code: grpc.StatusCode, text: str
) -> NoReturn:
    """End a call with a status; if its client has left, as gRPC ends those whose client leaves.

    Raises:
        CancelledError: The client has left.
    """
    try:
        await context.abort(code, fit_for_status(text))
    except grpc.aio.InternalError as err:  # as the deadline passed before gRPC had told so
        logger.info("client left rpc=%s before its status=%s", rpc, code.name)
        raise asyncio.CancelledError from err
    raise AssertionError("abort raises")


def describe(rpc: str, err: Exception, request_id: str = "") -> tuple[grpc.StatusCode, str]:
    """The status and text that a client gets for an error, which is noted in the log."""
    if isinstance(err, ServerError):
        level = logging.INFO if err.status < HTTPStatus.INTERNAL_SERVER_ERROR else logging.WARNING
        logger.log(level, "refused rpc=%s request_id=%s error=%s", rpc, id_for_log(request_id), err)
        return err.grpc_code, str(err)
    logger.error("internal error rpc=%s request_id=%s", rpc, id_for_log(request_id), exc_info=err)
    return grpc.StatusCode.INTERNAL, INTERNAL_ERROR


def fit_for_status(text: str) -> str:
    """A text, cut if it would not fit into the metadata that a status is sent in.

    gRPC writes a byte that is not printable ASCII as three, and lets a client refuse metadata of
    more than 8 KiB.

    Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, Status-Message
    """
    text = text.encode(errors="backslashreplace").decode()
    sizes = (len(quote(char, safe=_UNQUOTED)) for char in text)
    for i, size in enumerate(itertools.accumulate(sizes)):
        if size > _LONGEST_STATUS:
            return f"{text[:i]}..."
    return text


def serialize(message: Message | bytes) -> bytes:
    """The message on the wire, where it may be already."""
    return message if isinstance(message, bytes) else message.SerializeToString()
