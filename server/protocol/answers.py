"""The answers to the pictures of a request -> one body, in pieces, none of them copied.

To join a hundred megabytes would hold the event loop.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from server.errors import RequestError
from server.media_types import JSON, JSON_LINES
from server.rendering import Body


def check_count(media_type: str, count: int) -> None:
    """Refuse several pictures before the model sees them, if the media type is of one.

    Raises:
        RequestError: It is.
    """
    if count > 1 and media_type not in _JOINERS:
        raise RequestError(f"{count} instances; an answer as {media_type} is of one picture")


def joined(media_type: str, answers: Sequence[Body]) -> Sequence[Body]:
    """The answers to the pictures of a request as one body, in pieces."""
    return answers if len(answers) == 1 else _JOINERS[media_type](answers)


def listed(answers: Sequence[Body]) -> Sequence[Body]:
    """JSON answers as a JSON list, in pieces."""
    separated = [piece for answer in answers for piece in (b",", answer)]
    return [b"[", *separated[1:], b"]"]


_JOINERS: Final[Mapping[str, Callable[[Sequence[Body]], Sequence[Body]]]] = {
    JSON: listed,
    JSON_LINES: list,
}
