"""The errors that HTTP alone has: of a request's headers, body and time, and those without words.

ServerError
├── RequestError              400
│   ├── BodyTooLarge          413: the body is over the limit
│   ├── NotAcceptable         406: the Accept header names no form that the answer has
│   ├── UnknownMediaType      415: the Content-Type is none that is read
│   ├── NoModelChosen         there are several models, and the request names none
│   └── BadParameter          a parameter of AWS' API that cannot be used
├── Unsupported               501
│   └── UnsupportedEncoding   the Content-Encoding is none that is read
├── TimeOver                  503: the time of a request to be answered was over
├── GivenUp                   503: the server ended before its answer
└── InternalError             500: an error of this program
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from server.errors import RequestError, ServerError, Unsupported

INTERNAL_ERROR: Final = "internal error; see the server's log"


class BodyTooLarge(RequestError):
    """The body is over the limit.

    Args:
        limit_bytes: The limit.
        unread: Whether some of it may still come; the connection can have no other request then.
    """

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, limit_bytes: int, *, unread: bool = False) -> None:
        self.ends_connection = unread
        super().__init__(
            f"request body is over {limit_bytes} bytes, the limit of this server "
            "(--http_max_input_size); send fewer or smaller pictures in a request"
        )


class NotAcceptable(RequestError):
    """The Accept header, or what stands for it, names no form that the answer has.

    Args:
        accept: What it says.
        offered: The forms there are.
        said_by: Where it was read.
    """

    status = HTTPStatus.NOT_ACCEPTABLE

    def __init__(self, accept: str, offered: Sequence[str], said_by: str = "Accept") -> None:
        super().__init__(f"{said_by} is {accept!r}; the answer can be {' or '.join(offered)}")


class UnknownMediaType(RequestError):
    """The Content-Type is none that is read."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE

    def __init__(self, content_type: str, known: Sequence[str]) -> None:
        super().__init__(f"Content-Type is {content_type!r}; expected {' or '.join(known)}")


class NoModelChosen(RequestError):
    """There are several models, and the request names none.

    Args:
        known: Their names.
        how: What names one.
    """

    def __init__(self, known: Sequence[str], how: str) -> None:
        names = ", ".join(known) or "none"
        super().__init__(f"this server has {len(known)} models; choose one by {how}: {names}")


class BadParameter(RequestError):
    """A parameter of AWS' API that cannot be used."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")


class UnsupportedEncoding(Unsupported):
    """A body in an encoding that this server does not know."""

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"Unsupported compression type: Content-Encoding is {encoding[:40]!r}; "
            "expected gzip, deflate or identity"
        )


class TimeOver(ServerError):
    """A request whose time to be answered was over."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, limit_s: float) -> None:
        super().__init__(
            f"the request was not answered within {limit_s:g} s, the limit of this server "
            "(--invocations_timeout)"
        )


class GivenUp(ServerError):
    """A request that was under way, or arriving, when the server had to end.

    Its answer ends the connection, as all of a server that drains do, so it need not say so itself.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after_s = 1

    def __init__(self) -> None:
        super().__init__(
            "the server is stopping, and the request was not answered within its --grace_period; "
            "send it again, to another server"
        )


class InternalError(ServerError):
    """An error of this program, of which its log says more."""

    def __init__(self) -> None:
        super().__init__(INTERNAL_ERROR)
