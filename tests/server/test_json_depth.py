import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import json_depth
from server.json_depth import nests_deeper


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * depth + b"1" + closing * depth


@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}")])
def test_the_limit_itself_is_allowed(pair: tuple[bytes, bytes]) -> None:
    assert not nests_deeper(nested(100, *pair), 100)
    assert nests_deeper(nested(101, *pair), 100)


def test_a_wide_text_is_not_deep() -> None:
    assert not nests_deeper(b"[" + b"[[1]]," * 500 + b"[]]", 3)
    assert nests_deeper(b"[" + b"[[1]]," * 500 + b"[[[2]]]]", 3)


@pytest.mark.parametrize(
    "text", ["[" * 200, "]" * 200, '"[' * 60, "\\" * 7 + '"[' * 60, "\\[" * 60]
)
def test_brackets_within_strings_do_not_count(text: str) -> None:
    quoted = json.dumps({text: text}).encode()
    assert not nests_deeper(quoted, 10)
    assert nests_deeper(b"[" + quoted + b"," + nested(10) + b"]", 10)


def test_a_large_tensor_is_measured_in_moments() -> None:
    text = json.dumps([[[[0.5] * 3] * 224] * 224] * 8).encode()
    assert not nests_deeper(text, 4)
    assert nests_deeper(text, 3)


@given(st.text(st.sampled_from('\\"[a'), max_size=40), st.integers(1, 5))
def test_escapes_are_told_wherever_pieces_end(text: str, size: int) -> None:
    quoted = b"[" + orjson.dumps(text) + b",[[1]]]"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_depth, "_PIECE", size)
        assert not nests_deeper(quoted, 3)
        assert nests_deeper(quoted, 2)


def test_backslashes_without_end_are_passed_a_piece_at_a_time() -> None:
    text = b"[" * 101 + b"\\" * (3 << 20)
    assert len(list(json_depth._marks(text))) == 4
    assert nests_deeper(text, 100)
