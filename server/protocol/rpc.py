"""Methods on protobuf messages -> gRPC handlers that answer errors with their status."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.message import Message

from server.errors import ServerError
from server.protocol.error_answers import ID_HEADERS, INTERNAL_ERROR, id_for_log
from server.protocol.v2 import Handler

logger = logging.getLogger(__name__)

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)


def unary(
    method: Callable[[RequestT], Awaitable[ResponseT]], request_type: type[RequestT]
) -> Handler:
    """A handler that answers errors with their status: ours in words, any other as internal."""

    async def answer(
        request: RequestT, context: grpc.aio.ServicerContext[RequestT, ResponseT]
    ) -> ResponseT:
        try:
            return await method(request)
        except Exception as err:
            await abort(context, method.__name__, err, getattr(request, "id", ""))

    return grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=request_type.FromString, response_serializer=serialize
    )


async def abort(
    context: "grpc.aio.ServicerContext[Any, Any]", rpc: str, err: Exception, request_id: str = ""
) -> NoReturn:
    """End a call with the status and text of an error, and a line in the log."""
    headers = dict(context.invocation_metadata() or ())
    named = (str(headers[header]) for header in ID_HEADERS if header in headers)
    code, text = describe(rpc, err, request_id or next(named, ""))
    await context.abort(code, text)
    raise AssertionError("abort raises") from err


def describe(rpc: str, err: Exception, request_id: str = "") -> tuple[grpc.StatusCode, str]:
    """The status and text that a client gets for an error, which is noted in the log."""
    if isinstance(err, ServerError):
        level = logging.INFO if err.status < HTTPStatus.INTERNAL_SERVER_ERROR else logging.WARNING
        logger.log(level, "refused rpc=%s request_id=%s error=%s", rpc, id_for_log(request_id), err)
        return err.grpc_code, str(err)
    logger.error("internal error rpc=%s request_id=%s", rpc, id_for_log(request_id), exc_info=err)
    return grpc.StatusCode.INTERNAL, INTERNAL_ERROR


def serialize(message: Message) -> bytes:
    """The message on the wire."""
    return message.SerializeToString()
