"""Long arrays in pieces: what they hold is what orjson, given the whole text, would say."""

import codecs
import contextlib
import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import json_cuts, json_text, long_arrays, long_strings
from server.errors import RequestError
from server.json_cuts import cut
from server.json_numbers import numbers_from_json
from server.json_text import MOST_VALUES, parse_json, parse_json_with_arrays
from server.long_arrays import LongArray
from server.long_strings import LongString

DEPTH = 10


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of 20 bytes are long, pieces of 8 end at the next comma, 640 without one are refused.

    An indented list of hypothesis has some hundred blanks between two numbers.
    """
    for name, size in (("LONG", 20), ("_PIECE", 8), ("_LONGEST_PIECE", 640)):
        monkeypatch.setattr(long_arrays, name, size)
    for name, size in (("LONG", 8), ("_PIECE", 16), ("_STEP", 7)):
        monkeypatch.setattr(long_strings, name, size)
    monkeypatch.setattr(json_cuts, "_MOST_JOINED", 12)
    monkeypatch.setattr(json_text, "_LARGE", 0)


def flat(value: object) -> list[object]:
    return (
        [number for item in value for number in flat(item)] if isinstance(value, list) else [value]
    )


def whole(value: object) -> object:
    """The value with its long arrays and strings read, all arrays of numbers flat."""
    if isinstance(value, LongString):
        text = "".join(value.pieces())
        assert value.encoded() == text.encode()
        return text
    if isinstance(value, LongArray):
        return [number for piece in value.pieces() for number in piece]
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list) and any(
        isinstance(item, dict | str | LongString) for item in flat(value)
    ):
        return [whole(item) for item in value]
    return flat(value) if isinstance(value, list) else value


def count_arrays(value: object) -> int:
    if isinstance(value, dict):
        return sum(map(count_arrays, value.values()))
    if isinstance(value, list):
        return sum(map(count_arrays, value))
    return isinstance(value, LongArray)


numbers = st.one_of(st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False))
arrays = st.recursive(
    st.lists(numbers, min_size=1), lambda some: st.lists(some, min_size=1), max_leaves=20
)
strings = st.text(st.sampled_from('ab"\\[]{},: 12\n\0жю日𝄞'), max_size=60)
names = st.text(st.sampled_from('ab"\\'), max_size=2)
bodies = st.dictionaries(
    names,
    st.one_of(
        arrays, strings, numbers, st.lists(st.dictionaries(names, arrays)), st.lists(strings)
    ),
)


@settings(max_examples=100, deadline=None)
@given(body=bodies, indent=st.sampled_from([None, 1]), escaped=st.booleans())
def test_a_text_with_long_values_is_what_the_whole_text_is(
    body: Any, indent: int | None, escaped: bool
) -> None:
    text = json.dumps(body, indent=indent, ensure_ascii=escaped).encode()
    assert whole(parse_json_with_arrays(text, DEPTH + 20)) == whole(orjson.loads(text))


@settings(max_examples=300, deadline=None)
@given(
    body=bodies,
    at=st.integers(0, 10**6),
    cut=st.integers(0, 2),
    put=st.sampled_from(["", *'[],"}{: 1e\\']),
    escaped=st.booleans(),
)
def test_a_broken_text_is_refused_and_a_whole_one_is_not(
    body: Any, at: int, cut: int, put: str, escaped: bool
) -> None:
    text = json.dumps(body, ensure_ascii=escaped)
    at %= len(text) + 1
    changed = (text[:at] + put + text[at + cut :]).encode()
    try:
        expected = whole(orjson.loads(changed))
    except orjson.JSONDecodeError:
        with pytest.raises(RequestError):
            whole(parse_json_with_arrays(changed, DEPTH + 20))
        return
    empty_list = b"[]" in changed or b"[ ]" in changed  # refused among the numbers of a long one
    with contextlib.suppress(RequestError) if empty_list else contextlib.nullcontext():
        assert whole(parse_json_with_arrays(changed, DEPTH + 20)) == expected


def test_long_arrays_are_cut_and_short_ones_are_not() -> None:
    data = [[i, i + 1] for i in range(30)]
    body = {"inputs": [{"name": "a", "shape": [30, 2], "data": data}, {"data": [1]}]}
    parsed = parse_json_with_arrays(json.dumps(body).encode(), DEPTH)
    assert count_arrays(parsed) == 1
    array = parsed["inputs"][0]["data"]  # type: ignore[index]
    assert numbers_from_json(array, np.dtype("<i4")).tolist() == np.ravel(data).tolist()
    assert parsed["inputs"][1] == {"data": [1]}  # type: ignore[index]


def test_what_stands_for_an_array_cannot_be_guessed() -> None:
    text = json.dumps({"a": list(range(30))}).encode()
    assert cut(text, DEPTH, 8, arrays=True)[1].keys() != cut(text, DEPTH, 8, arrays=True)[1].keys()


@pytest.mark.parametrize("last", ["text", {"b": 1}, ["text"], [[2], "text"]])
def test_a_list_within_a_long_one_is_not_the_end_of_it(last: object) -> None:
    text = json.dumps({"a": [*range(100), [1e10], last]})
    assert parse_json_with_arrays(text.encode(), DEPTH) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": %s}' % ("[" * 11 + "1, 2, 3, 4, 5, 6, 7, 8" + "]" * 11), "nesting depth"),
        ('{"a": [1%s2]}' % (" " * 1000), "no comma in 640 bytes"),
        ('{"a": [1, 2, 3, 4, 5, 6, 7, 8, 9, x]}', "in the array at byte"),
        ('{"a": [1, 2, 3, 4, 5, 6, 7, 8], [9]}', "failed to parse the request JSON buffer"),
        ('{"a": [[1, 2, 3, 4, 5, 6], [], [7]]}', "an empty list"),
        ('{"a": [[1, 2, 3, 4, 5, 6, 7, 8]}', "failed to parse the request JSON buffer"),
    ],
)
def test_a_bad_array_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        whole(parse_json_with_arrays(text.encode(), DEPTH))


@pytest.mark.parametrize("bad", [r"\x", r"\u12x", r"\ud83d", r"\ud83d\n", "\n", "\\ude00"])
@pytest.mark.parametrize("before", range(17))
def test_a_bad_string_is_refused_wherever_its_pieces_end(bad: str, before: int) -> None:
    text = '{"a": "%s"}' % ("a" * before + bad + "a" * 20)
    with pytest.raises(RequestError, match="failed to parse the request JSON buffer"):
        whole(parse_json(text.encode(), DEPTH))


def test_a_long_name_is_refused() -> None:
    assert parse_json(b'{"abcdefghijkl": 1}', DEPTH) == {"abcdefghijkl": 1}
    with pytest.raises(RequestError, match="a name of more than 12 bytes"):
        parse_json(b'{"abcdefghijklm": 1}', DEPTH)


def test_many_values_that_are_no_numbers_are_refused() -> None:
    text = b"[%b]" % b",".join([b"{}"] * (MOST_VALUES // 2 + 1))
    with pytest.raises(RequestError, match=f"more than {MOST_VALUES} values"):
        parse_json(text, DEPTH)


def test_many_strings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_cuts, "MOST_STRINGS", 3)
    with pytest.raises(RequestError, match="more than 3 strings"):
        parse_json_with_arrays(b'["a", "b", "c", "d"]', DEPTH)


def test_a_byte_order_mark_is_passed_over() -> None:
    text = b'{"a": ["' + b"b" * 99 + b'"]}'
    assert whole(parse_json(codecs.BOM_UTF8 + text, DEPTH)) == json.loads(text)
    with pytest.raises(RequestError):
        parse_json(codecs.BOM_UTF8 * 2 + text, DEPTH)
