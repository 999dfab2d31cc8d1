"""Errors as AWS' API of SageMaker's runtime has them, so that boto3 raises its own classes.

SageMaker's front door checks a request and passes it to the container; what the container refuses
is a ModelError, with the container's status and body in it. Here both are one program, so a table
says which of our errors are the front door's. botocore asks again after 500 and 503, and in its
retry mode `legacy` after 429.

    ValidationError 400           the parameters; an unknown model or version; too large a body
    ModelNotReadyException 429    the model, or that version of it, cannot answer now
    ServiceUnavailable 503        the queue is full, the request waited for too long in it, or the
                                  server ended before its answer
    InternalFailure 500           an error of this program
    ModelError 424                anything else: our status and our body stand in it

Source: botocore's model of sagemaker-runtime, 2017-05-13.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from server.errors import (
    ModelNotFound,
    NotReady,
    QueueFull,
    QueueTimeout,
    ServerError,
    Unloaded,
)
from server.protocol.error_answers import ending
from server.protocol.http import json_response
from server.protocol.http_errors import (
    BadParameter,
    BodyTooLarge,
    GivenUp,
    InternalError,
    NoModelChosen,
)

ERROR_TYPE: Final = "x-amzn-ErrorType"


@dataclass(frozen=True, slots=True)
class Kind:
    """An error of AWS' API."""

    code: str
    status: HTTPStatus


VALIDATION: Final = Kind("ValidationError", HTTPStatus.BAD_REQUEST)
NOT_READY: Final = Kind("ModelNotReadyException", HTTPStatus.TOO_MANY_REQUESTS)
UNAVAILABLE: Final = Kind("ServiceUnavailable", HTTPStatus.SERVICE_UNAVAILABLE)
INTERNAL: Final = Kind("InternalFailure", HTTPStatus.INTERNAL_SERVER_ERROR)
MODEL: Final = Kind("ModelError", HTTPStatus.FAILED_DEPENDENCY)

KINDS: Final[Mapping[type[ServerError], Kind]] = {
    BadParameter: VALIDATION,
    NoModelChosen: VALIDATION,
    ModelNotFound: VALIDATION,
    BodyTooLarge: VALIDATION,
    NotReady: NOT_READY,
    QueueFull: UNAVAILABLE,
    QueueTimeout: UNAVAILABLE,
    Unloaded: UNAVAILABLE,
    GivenUp: UNAVAILABLE,
    InternalError: INTERNAL,
    ServerError: MODEL,
}
"""What an error is; else what its nearest base is."""


def aws_error(err: ServerError) -> Response:
    """The answer of AWS' API to an error of ours."""
    kind = next(KINDS[base] for base in type(err).__mro__ if base in KINDS)
    if kind is not MODEL:
        return ending(_response(kind, str(err)), err)
    body = bytes(json_response({"error": str(err)}).body).decode()
    side = "client" if err.status < HTTPStatus.INTERNAL_SERVER_ERROR else "server"
    return _response(
        kind,
        f'Received {side} error ({err.status}) from primary with message "{body}"',
        OriginalStatusCode=int(err.status),
        OriginalMessage=body,
        LogStreamArn="",
    )


def _response(kind: Kind, message: str, **more: str | int) -> Response:
    response = json_response({"Message": message, **more}, kind.status)
    response.headers[ERROR_TYPE] = kind.code
    return response
