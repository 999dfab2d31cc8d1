import json

import pytest

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
