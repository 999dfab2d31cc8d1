"""The errors of the server, each with its status on every surface.

    ServerError
    ├── RequestError              400, INVALID_ARGUMENT: the request cannot be understood
    │   ├── BadPicture            one picture of a request cannot be used; names its index
    │   ├── BodyTooLarge          413: the body is over the limit
    │   └── NotAcceptable         406: the Accept header names no form that the answer has
    ├── ModelNotFound             404, NOT_FOUND: unknown model or version
    ├── NotReady                  503, UNAVAILABLE: known, but not able to answer now
    ├── Unloaded                  503, UNAVAILABLE: the model left while the request waited
    ├── QueueFull                 503, RESOURCE_EXHAUSTED: more waiting requests than allowed
    └── LoadError                 a model folder that cannot be served; never sent to a client
                                  but shown in the repository index

4xx are the client's and are logged in one line; anything else that escapes a handler is ours: a
traceback in the log, 500 and a constant text to the client.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import ClassVar

import grpc

from contract.errors import PictureError, TooManyPixels


class ServerError(Exception):
    """Root of the server's errors."""

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    grpc_code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    retry_after_s: ClassVar[int | None] = None


class RequestError(ServerError):
    """The request cannot be understood."""

    status = HTTPStatus.BAD_REQUEST
    grpc_code = grpc.StatusCode.INVALID_ARGUMENT


class BadPicture(RequestError):
    """One picture of a request cannot be used; the others of the request are fine."""

    def __init__(self, index: int, reason: PictureError | str) -> None:
        if isinstance(reason, TooManyPixels):
            self.status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        super().__init__(f"instance {index}: {reason}")


class BodyTooLarge(RequestError):
    """The body is over the limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"request body is over {limit_bytes} bytes, the limit of this server "
            "(--http_max_input_size); send fewer or smaller pictures in a request"
        )


class NotAcceptable(RequestError):
    """The Accept header names no form that the answer has."""

    status = HTTPStatus.NOT_ACCEPTABLE

    def __init__(self, accept: str, offered: Sequence[str]) -> None:
        super().__init__(f"Accept is {accept!r}; the answer can be {' or '.join(offered)}")


class ModelNotFound(ServerError):
    """Unknown model or version, in the words that Triton's clients match on."""

    status = HTTPStatus.NOT_FOUND
    grpc_code = grpc.StatusCode.NOT_FOUND

    def __init__(self, name: str, version: str = "") -> None:
        which = f"'{name}' version {version}" if version else f"'{name}'"
        super().__init__(f"Request for unknown model: {which} is not found")


class NotReady(ServerError):
    """Known, but not able to answer now."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    grpc_code = grpc.StatusCode.UNAVAILABLE
    retry_after_s = 1

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"model '{name}' is not ready: {reason}")


class Unloaded(ServerError):
    """The model left while the request waited."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    grpc_code = grpc.StatusCode.UNAVAILABLE
    retry_after_s = 1

    def __init__(self) -> None:
        super().__init__("the model was unloaded before the request had its turn; try again")


class QueueFull(ServerError):
    """More pictures waiting than the queue may hold."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    grpc_code = grpc.StatusCode.RESOURCE_EXHAUSTED
    retry_after_s = 1

    def __init__(self, waiting: int, added: int, limit: int) -> None:
        super().__init__(
            f"queue is full: {waiting} pictures wait, {added} more would pass the limit of {limit}; "
            "try again shortly"
        )


class LoadError(ServerError):
    """A model folder that cannot be served."""


def choose_one(what: str, got: str, known: Sequence[str]) -> RequestError:
    """A RequestError that lists what could have been named instead of `got`."""
    return RequestError(f"{what} {got!r} is unknown; expected one of {', '.join(known)}")
