"""Content of an answer -> its JSON, in pieces that are never put together.

To write some million numbers holds the interpreter, and so does every copy of the tens of megabytes
that come of them, so that health is not answered in time. A long list is therefore written a part
at a time, and its parts stay apart until they are sent.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from server.turns import in_turns

_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS
_PART: Final = 1 << 14
"""Items of a list that are written at once."""


@dataclass(frozen=True, slots=True)
class Written:
    """A value that is JSON already, in pieces."""

    pieces: Sequence[bytes]


def flat_json(data: NDArray[np.generic] | Sequence[str | tuple[str, ...]]) -> object:
    """A flat list for `json_pieces`; written already if it is long, as are strings in parts."""
    items: NDArray[np.generic] | Sequence[object] = data
    if not isinstance(data, np.ndarray):
        items = [item if isinstance(item, str) else _written_text(item) for item in data]
    return items if len(items) <= _PART else _written_list(items)


def json_pieces(content: object) -> list[bytes]:
    """The JSON of a value; numpy arrays are nested lists, and `Written` ones what they are.

    Source: orjson calls `default` for what it does not know; a name that no client can guess is
    put there, at which the text is cut.
    """
    name = secrets.token_hex(16).encode()
    values: list[Written] = []

    def stand_in(value: object) -> orjson.Fragment:
        if not isinstance(value, Written):
            raise TypeError(f"{type(value).__name__} is not JSON")
        values.append(value)
        return orjson.Fragment(name)

    text = orjson.dumps(content, stand_in, _OPTIONS)
    if not values:
        return [text]
    first, *rest = text.split(name)
    pieces = [first]
    for value, after in zip(values, rest, strict=True):
        pieces += (*value.pieces, after)
    return pieces


def _written_list(items: NDArray[np.generic] | Sequence[object]) -> Written:
    """A list of which `_PART` items are written at once."""
    pieces: list[bytes] = []
    for start in in_turns(range(0, len(items), _PART)):
        written = json_pieces(items[start : start + _PART])
        written[0] = (b"," if start else b"[") + written[0][1:]
        written[-1] = written[-1][:-1]
        pieces += written
    return Written([*pieces, b"]"])


def _written_text(parts: Sequence[str]) -> Written:
    """A string, each of whose parts is written by itself."""
    return Written([b'"', *(orjson.dumps(part)[1:-1] for part in parts), b'"'])
