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

_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS
_PART: Final = 1 << 14
"""Items of a list that are written at once."""


@dataclass(frozen=True, slots=True)
class Written:
    """A value that is JSON already, in pieces."""

    pieces: Sequence[bytes]


def flat_json(data: NDArray[np.generic] | list[str]) -> object:
    """A flat list for `json_pieces`; a long one is written already."""
    if len(data) <= _PART:
        return data
    parts = (data[start : start + _PART] for start in range(0, len(data), _PART))
    return _list([memoryview(orjson.dumps(part, option=_OPTIONS))[1:-1] for part in parts])


def written_items(items: Sequence[object]) -> Written:
    """A list, each of whose items is written by itself."""
    return _list([orjson.dumps(item, option=_OPTIONS) for item in items])


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


def _list(parts: Sequence[bytes | memoryview]) -> Written:
    """A list whose items are written in one part or several."""
    opened = [b"[", *[b","] * (len(parts) - 1)]
    pieces = [b"".join(pair) for pair in zip(opened, parts, strict=True)]
    return Written([*pieces, b"]"])
