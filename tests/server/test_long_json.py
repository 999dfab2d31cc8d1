"""Long lists written in parts: what they make is what orjson makes of the whole."""

import numpy as np
import orjson
import pytest

from server.bytes_elements import texts_of
from server.protocol.long_json import flat_json, json_pieces

PART = 1 << 14


@pytest.mark.parametrize("count", [0, 1, PART, PART + 1, 2 * PART, 100_000])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i8", "?"])
def test_a_list_in_parts_is_the_list(count: int, dtype: str) -> None:
    numbers = np.random.default_rng(count).normal(size=count).astype(dtype)
    pieces = json_pieces({"a": flat_json(numbers), "b": [flat_json(numbers), 1]})
    whole = {"a": numbers, "b": [numbers, 1]}
    assert b"".join(pieces) == orjson.dumps(whole, option=orjson.OPT_SERIALIZE_NUMPY)
    assert (len(pieces) > 1) == (count > PART)
    assert count <= PART or max(map(len, pieces)) <= 25 * PART


def test_a_list_of_many_strings_in_parts_is_the_list() -> None:
    words = [f'{i}, "日本"' for i in range(PART + 1)]
    assert orjson.loads(b"".join(json_pieces(flat_json(words)))) == words


def test_long_strings_in_parts_are_the_strings() -> None:
    words: list[bytes | str] = ["a", "日本\n" * 100_000, b"", "x" * 70_000 + "é"]
    pieces = json_pieces({"data": flat_json(texts_of("x", words))})
    assert orjson.loads(b"".join(pieces)) == {"data": ["a", words[1], "", words[3]]}
    assert max(map(len, pieces)) < 150_000


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        json_pieces({"a": object()})
