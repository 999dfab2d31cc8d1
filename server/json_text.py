"""JSON of requests: parsed within limits of depth and size."""

import codecs
from typing import Final

import orjson

from contract.model_config import Json
from server import long_strings
from server.errors import RequestError
from server.json_cuts import cut, put_back
from server.json_depth import nests_deeper

MOST_VALUES: Final = 1 << 18
"""Values of a JSON text beside long arrays of numbers. Parsing this many takes the interpreter
for some ten milliseconds, in which the server does nothing else."""

MOST_REST: Final = 1 << 23
"""Bytes of a JSON text beside long arrays of numbers and strings. Reading this many, or writing
down where among them an error is, takes the interpreter for some ten milliseconds, too."""

_SHORT: Final = 24
"""Bytes of a string that is no longer than the name that would stand for it."""

_LARGE: Final = 1 << 18  # a shorter text has no more values than that
_COUNTED: Final = 1 << 20


def parse_json(text: bytes, max_depth: int) -> object:
    """The value of a JSON text, with a `LongString` for each string of more than 1 MiB in it.

    Raises:
        RequestError: It is no JSON, nests too deep, or has too many values or bytes beside strings.
    """
    return _parse_in_pieces(text, max_depth, arrays=False)


def parse_json_with_arrays(text: bytes, max_depth: int) -> object:
    """The same, with a `LongArray` for each long array of numbers in it, too.

    Raises:
        RequestError: As `parse_json`.
    """
    return _parse_in_pieces(text, max_depth, arrays=True)


def _parse_in_pieces(text: bytes, max_depth: int, *, arrays: bool) -> object:
    text = text.removeprefix(codecs.BOM_UTF8)  # as RFC 8259 lets a parser do
    if len(text) <= _LARGE:
        return _parse(text, max_depth)
    rest, found = cut(text, max_depth, long_strings.LONG, arrays=arrays)
    if len(rest) > MOST_REST:  # of many strings, none of them long
        rest, found = cut(text, max_depth, _SHORT, arrays=arrays)
    if len(rest) > MOST_REST:
        raise RequestError(
            f"the JSON text has {len(rest)} bytes beside arrays of numbers and strings; the limit "
            f"is {MOST_REST}"
        )
    parsed = _parse(rest, max_depth)
    return put_back(parsed, found) if found else parsed


def _parse(text: bytes, max_depth: int) -> object:
    if nests_deeper(text, max_depth):
        raise RequestError(f"JSON nesting depth exceeds maximum allowed limit ({max_depth})")
    if len(text) > _LARGE and _count_values(text) > MOST_VALUES:
        raise RequestError(
            f"the JSON text has more than {MOST_VALUES} values beside arrays of numbers; send "
            "tensors as binary data, or fewer in a request"
        )
    try:
        parsed: object = orjson.loads(text)
    except orjson.JSONDecodeError as err:
        raise RequestError(f"failed to parse the request JSON buffer: {err}") from err
    return parsed


def parse_json_object(text: bytes, max_depth: int) -> dict[str, Json]:
    """The value of a JSON text that is an object, or nothing, which is the empty object.

    Raises:
        RequestError: As `parse_json`, or it is something else.
    """
    parsed = parse_json(text, max_depth) if text else {}
    if not isinstance(parsed, dict):
        raise RequestError("body is no JSON object; expected {...} or no body")
    return parsed


def _count_values(text: bytes) -> int:
    """About how many values a text has, in steps that hold the interpreter shortly."""
    count = 0
    for start in range(0, len(text), _COUNTED):
        piece = text[start : start + _COUNTED]
        count += piece.count(b",") + piece.count(b"[") + piece.count(b"{")
        if count > MOST_VALUES:
            break
    return count
