"""The errors of the server, each with its status on every surface.

    ServerError
    ├── RequestError              400, INVALID_ARGUMENT: the request cannot be understood
    │   ├── BadPicture            one picture of a request cannot be used; names its index
    │   ├── TooManyInstances      413: too many pictures
    │   ├── TooMany               413: too many rows, strings, outputs asked for
    │   ├── AnswerTooLarge        413: the answer would be
    │   ├── NoVisionTask          the model answers tensors alone
    │   ├── AlreadyExists         400, ALREADY_EXISTS: the name is taken
    │   └── LoadFailed            a model that was asked to be loaded cannot be; as Unsupported, if
    │                             its configuration asks for what is
    ├── ModelNotFound             404, NOT_FOUND: unknown model or version
    │   ├── NoVersions            the model was unloaded
    │   └── NotPolled             a model to be loaded is not in the repository
    ├── RegionNotFound            404, NOT_FOUND: unknown region of shared memory
    ├── Unsupported               501, UNIMPLEMENTED: of the protocol, but not of this server
    ├── NotReady                  503, UNAVAILABLE: known, but not able to answer now
    │   └── VersionNotReady       another version of the model may
    ├── NotExplicit               503, UNAVAILABLE: models are not loaded by request here
    ├── Unloaded                  503, UNAVAILABLE: the model left while the request waited
    ├── QueueFull                 503, UNAVAILABLE: more waiting requests than allowed
    ├── QueueTimeout              503, UNAVAILABLE: its time in the queue was over
    └── LoadError                 a model folder that cannot be served; never sent to a client
                                  but shown in the repository index

Those that HTTP alone has stand in protocol/http_errors.py.

4xx are the client's and are logged in one line; anything else that escapes a handler is ours: a
traceback in the log, 500 and a constant text to the client.
"""

from http import HTTPStatus
from typing import ClassVar, Final

import grpc

from contract.errors import PictureError, TooManyPixels

LONGEST_TEXT: Final = 4096
"""Characters of an error's text; what a client named in it may have millions."""


class ServerError(Exception):
    """Root of the server's errors; a text that is too long for a line of the log is cut."""

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    grpc_code: grpc.StatusCode = grpc.StatusCode.INTERNAL
    retry_after_s: ClassVar[int | None] = None
    ends_connection: bool = False

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_TEXT:
            text = f"{text[:LONGEST_TEXT]}... ({len(text)} characters)"
        # A path of the file system may hold bytes that are no text, which no answer can carry.
        super().__init__(text.encode("utf-8", "backslashreplace").decode("utf-8"))


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


class TooManyInstances(RequestError):
    """More pictures than a request may have."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(
            f"request has {count} instances; the limit of this server is {limit} (--max_instances); "
            "send them in several requests"
        )


class TooMany(RequestError):
    """More of something small than a request may have."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, what: str, count: int, limit: int) -> None:
        super().__init__(
            f"request has {count} {what}; the limit of this server is {limit}; send them in "
            "several requests"
        )


class AnswerTooLarge(RequestError):
    """The answer would take too much memory."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"the answer would take over {limit_bytes} bytes of memory, the limit of this server; "
            "send fewer pictures in a request, or ask for less of each"
        )


class NoVisionTask(RequestError):
    """The model answers tensors alone; V1 and its like answer pictures."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"model '{name}' has no vision task (its config.pbtxt has no parameter task); "
            "ask it over V2"
        )


class AlreadyExists(RequestError):
    """The name is taken."""

    grpc_code = grpc.StatusCode.ALREADY_EXISTS


class ModelNotFound(ServerError):
    """Unknown model or version, in the words that Triton's clients match on."""

    status = HTTPStatus.NOT_FOUND
    grpc_code = grpc.StatusCode.NOT_FOUND

    def __init__(self, name: str, version: str = "") -> None:
        which = f"'{name}' version {version}" if version else f"'{name}'"
        super().__init__(f"Request for unknown model: {which} is not found")


class RegionNotFound(ServerError):
    """Unknown region of shared memory."""

    status = HTTPStatus.NOT_FOUND
    grpc_code = grpc.StatusCode.NOT_FOUND

    def __init__(self, name: str, kind: str = "") -> None:
        super().__init__(f"Unable to find {kind}shared memory region: '{name}'")


class Unsupported(ServerError):
    """Of the protocol, but not of this server."""

    status = HTTPStatus.NOT_IMPLEMENTED
    grpc_code = grpc.StatusCode.UNIMPLEMENTED


class NoVersions(ModelNotFound):
    """A model that was unloaded, in Triton's words."""

    def __init__(self, name: str) -> None:
        ServerError.__init__(self, f"Request for unknown model: '{name}' has no available versions")


class NotPolled(ModelNotFound):
    """A model to be loaded that is not in the repository, in Triton's words; it says 500."""

    def __init__(self, name: str) -> None:
        ServerError.__init__(self, f"failed to load '{name}', failed to poll from model repository")


class LoadFailed(RequestError):
    """A model that was asked to be loaded cannot be; what served before goes on.

    It was `polled` if it came as far as its versions; Triton has other words before that. It is
    `unsupported` if it asks for what this server does not have, such as sequences.
    """

    def __init__(
        self, name: str, reason: str, *, polled: bool = True, unsupported: bool = False
    ) -> None:
        if unsupported:
            self.status = Unsupported.status
            self.grpc_code = Unsupported.grpc_code
        begin = f"load failed for model '{name}'"
        if not polled:
            begin = f"failed to load '{name}', failed to poll from model repository"
        self.polled = polled
        super().__init__(f"{begin}: {reason}")


class NotExplicit(ServerError):
    """Models are not loaded and unloaded by request in this mode; Triton's first words."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    grpc_code = grpc.StatusCode.UNAVAILABLE

    def __init__(self, mode: str) -> None:
        super().__init__(
            "explicit model load / unload is not allowed if polling is enabled; this server's "
            f"--model_control_mode is {mode}, start it with explicit"
        )


class NotReady(ServerError):
    """Known, but not able to answer now."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    grpc_code = grpc.StatusCode.UNAVAILABLE
    retry_after_s = 1

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"model '{name}' is not ready: {reason}")


class VersionNotReady(NotReady):
    """A version that is known, but loading, broken or gone, in Triton's words."""

    def __init__(self, name: str, number: int) -> None:
        ServerError.__init__(
            self, f"Request for unknown model: '{name}' version {number} is not at ready state"
        )


class Unloaded(ServerError):
    """The model left while the request waited."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    grpc_code = grpc.StatusCode.UNAVAILABLE
    retry_after_s = 1

    def __init__(self) -> None:
        super().__init__("the model was unloaded before the request had its turn; try again")


class QueueFull(ServerError):
    """More waiting than the queue may hold, in the words of Triton's queue policy.

    Args:
        what: What is counted: requests or pictures.
        waiting: How many wait.
        added: How many more came.
        limit: How many may wait.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    grpc_code = grpc.StatusCode.UNAVAILABLE
    retry_after_s = 1

    def __init__(self, what: str, waiting: int, added: int, limit: int) -> None:
        super().__init__(
            f"Exceeds maximum queue size: {waiting} {what} wait, {added} more would pass the limit "
            f"of {limit}; try again shortly"
        )


class QueueTimeout(ServerError):
    """A request whose time in the queue was over before it had its turn, in Triton's words."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    grpc_code = grpc.StatusCode.UNAVAILABLE
    retry_after_s = 1

    def __init__(self) -> None:
        super().__init__("Request timeout expired")


class LoadError(ServerError):
    """A model folder that cannot be served."""
