"""JSON of requests: parsed within limits of depth and size."""

from typing import Final

import orjson

from contract.model_config import Json
from server.errors import RequestError
from server.json_depth import nests_deeper
from server.long_arrays import LongArray, cut_long_arrays

MOST_VALUES: Final = 1 << 18
"""Values of a JSON text beside long arrays of numbers. Parsing this many takes the interpreter
for some ten milliseconds, in which the server does nothing else."""

_LARGE: Final = 1 << 18  # a shorter text has no more values than that
_COUNTED: Final = 1 << 20


def parse_json(text: bytes, max_depth: int) -> object:
    """The value of a JSON text.

    Raises:
        RequestError: It is no JSON, nests too deep, or has too many values.
    """
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


def parse_json_with_arrays(text: bytes, max_depth: int) -> object:
    """The value of a JSON text, with a `LongArray` for each long array of numbers in it.

    Raises:
        RequestError: As `parse_json`.
    """
    if len(text) <= _LARGE:
        return parse_json(text, max_depth)
    rest, arrays = cut_long_arrays(text, max_depth)
    parsed = parse_json(rest, max_depth)
    return _put_back(parsed, arrays) if arrays else parsed


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


def _put_back(value: object, arrays: dict[str, LongArray]) -> object:
    """The value with the arrays in the place of the names that stand for them."""
    if isinstance(value, dict):
        return {key: _put_back(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_put_back(item, arrays) for item in value]
    return arrays.get(value, value) if isinstance(value, str) else value
