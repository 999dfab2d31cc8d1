"""A JSON text -> the text with a name for each long array and string in it, and those by their names.

What remains is short enough to be parsed at once.
"""

import secrets
from collections.abc import Iterator
from typing import Final

from server.errors import RequestError
from server.long_arrays import LongArray, long_array
from server.long_strings import LongString, end_of_string, find

MOST_STRINGS: Final = 1 << 19
"""Strings of a text in which long values are looked for."""

_MOST_JOINED: Final = 1 << 20
"""Bytes of a long string that becomes Python's all the same, in whatever place it stands."""

Long = LongArray | LongString


def cut(
    text: bytes, max_depth: int, string_bytes: int, *, arrays: bool
) -> tuple[bytes, dict[str, Long]]:
    """A JSON text with a short string for each long value in it, and the values by those strings.

    Whether they are JSON shows when they are read.

    Args:
        text: The text.
        max_depth: How deep an array may nest.
        string_bytes: Longer strings are long.
        arrays: Whether to look for arrays that are an object's values, too.

    Returns:
        The text, and what was cut out, by names that no client can guess.
    """
    token = secrets.token_hex(8)
    found: dict[str, Long] = {}
    kept: list[bytes] = []
    done = 0
    for long in _long_values(text, max_depth, string_bytes, arrays=arrays):
        name = f"{token}-{len(found)}"
        quoted = name if isinstance(long, LongString) else f'"{name}"'
        found[name] = long
        kept += [text[done : long.start], quoted.encode()]
        done = long.stop
    return b"".join([*kept, text[done:]]) if found else text, found


def put_back(value: object, found: dict[str, Long]) -> object:
    """A parsed value with what was cut out in the place of the names that stand for it.

    Raises:
        RequestError: A string is no JSON, or the name of a value is long.
    """
    if isinstance(value, dict):
        return {_name(key, found): put_back(item, found) for key, item in value.items()}
    if isinstance(value, list):
        return [put_back(item, found) for item in value]
    long = found.get(value, value) if isinstance(value, str) else value
    if isinstance(long, LongString) and len(long) <= _MOST_JOINED:
        return "".join(long.pieces())
    return long


def _name(key: str, found: dict[str, Long]) -> str:
    name = put_back(key, found)
    if not isinstance(name, str):
        raise RequestError(f"the JSON text has a name of more than {_MOST_JOINED} bytes")
    return name


def _long_values(text: bytes, max_depth: int, string_bytes: int, *, arrays: bool) -> Iterator[Long]:
    """The long values, in their order."""
    at = strings = 0
    while (quote := find(text, b'"', at, len(text))) >= 0:
        if arrays and (array := long_array(text, at, quote, max_depth)):
            yield array
        at = end_of_string(text, quote)
        if at - quote > string_bytes and text[at - 1 : at] == b'"':
            yield LongString(text, quote + 1, at - 1)
        strings += 1
        if strings > MOST_STRINGS:
            raise RequestError(
                f"the JSON text has more than {MOST_STRINGS} strings; send tensors of BYTES as "
                "binary data, or fewer in a request"
            )
    if arrays and (array := long_array(text, at, len(text), max_depth)):
        yield array
