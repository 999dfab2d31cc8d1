"""Texts of many megabytes, of which no parser sees more than a part at once."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from server.errors import RequestError
from server.json_text import MOST_REST, parse_json, parse_json_with_arrays
from server.protocol.body import LARGE

DEPTH = 100
SIZE = MOST_REST + (1 << 20)
STRINGS = [{"data": f"{index:09}é" * 6000} for index in range(SIZE // 60_000)]
WORDS = [f"{index:09}\n" * 20 for index in range(SIZE // 200)]


@pytest.fixture
def parsed() -> Iterator[list[int]]:
    """The lengths of what the parser is given meanwhile."""
    lengths: list[int] = []
    loads = orjson.loads

    def noted(text: bytes) -> Any:
        lengths.append(len(text))
        return loads(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orjson, "loads", noted)
        yield lengths


@pytest.mark.parametrize("value", [STRINGS, WORDS], ids=["strings", "words"])
def test_strings_that_are_not_long_are_read_in_parts_where_they_are_many(
    value: list[object], parsed: list[int]
) -> None:
    text = orjson.dumps({"instances": value})
    assert len(text) > MOST_REST
    assert parse_json(text, DEPTH) == {"instances": value}
    assert parse_json_with_arrays(text, DEPTH) == {"instances": value}
    assert max(parsed) <= MOST_REST


@pytest.mark.parametrize(
    "text",
    [
        b'{"instances":' + b" " * SIZE + b"[]}",
        b'{"instances":' + b"\n" * SIZE + b"x",
        b"1" * SIZE,
        "é".encode() * (SIZE // 2),
        b"[" * 101 + b"\\" * SIZE,
    ],
    ids=["blanks", "lines", "digits", "letters", "backslashes"],
)
def test_what_is_neither_numbers_nor_strings_is_limited(text: bytes, parsed: list[int]) -> None:
    for parse in (parse_json, parse_json_with_arrays):
        with pytest.raises(RequestError, match="bytes beside arrays of numbers and strings"):
            parse(text, DEPTH)
    assert not parsed


def test_as_much_is_read() -> None:
    assert parse_json(b"[" + b" " * (MOST_REST - 2) + b"]", DEPTH) == []
    assert MOST_REST > LARGE  # it is read in a thread
