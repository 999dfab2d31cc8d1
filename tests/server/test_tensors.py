from typing import Any

import numpy as np
import pytest

from server.bytes_elements import MOST_ELEMENTS
from server.errors import RequestError, TooMany
from server.json_numbers import Numbers
from server.tensors import (
    best_classes,
    bytes_tensor,
    datatype_of,
    raw_size,
    tensor_from_json,
    tensor_from_raw,
    to_json,
    to_raw,
)


@pytest.mark.parametrize("dtype", ["u1", "<i4", "<i8", "<f2", "<f4", "<f8", "?"])
def test_raw_bytes_round_trip(dtype: str) -> None:
    array = np.arange(6).astype(dtype).reshape(2, 3)
    tensor = tensor_from_raw("x", datatype_of(array), [2, 3], memoryview(to_raw(array)), "m")
    assert tensor.array is not None
    np.testing.assert_array_equal(tensor.array, array)


def test_json_data_may_be_nested_or_flat() -> None:
    for data in ([[1, 2], [3, 4]], [1, 2, 3, 4]):
        tensor = tensor_from_json("x", "UINT8", [2, 2], data)
        assert tensor.array is not None
        assert tensor.array.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "message"),
    [
        ("UINT8", [2], [1, 300], r"a value outside \[0, 255\]"),
        ("UINT8", [2], [1.5, 2], "values of kind float64"),
        ("UINT8", [2], ["a", "b"], "values of kind"),
        ("UINT8", [3], [1, 2], "has 2 values, shape \\[3\\] has 3"),
        ("UINT8", [2], [[1], [2, 3]], "do not make a UINT8 tensor"),
        ("UINT8", [2], None, "values of kind object"),
        ("BF16", [1], [1], "receiving BF16 data via JSON is not supported"),
        ("FP16", [1], [1], "receiving FP16 data via JSON is not supported"),
        ("INT4", [1], [1], "invalid datatype for input x: got 'INT4'"),
        ("FP32", [2], [1, 1e39], "a value too large for float32"),
        ("FP32", [1], [-1e300], "a value too large for float32"),
        ("UINT8", [-1], [1], "expected a list of sizes"),
        ("UINT8", ["a"], [1], "expected a list of sizes"),
    ],
)
def test_json_data_that_do_not_fit_are_refused(
    datatype: str, shape: list[int], data: object, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        tensor_from_json("x", datatype, shape, data)


def test_the_largest_numbers_of_floats_are_taken() -> None:
    for datatype, number in (("FP32", 3.4028234e38), ("FP64", 1.7e308)):
        tensor = tensor_from_json("x", datatype, [1], [number])
        assert tensor.array is not None
        assert np.isfinite(tensor.array).all()


def test_infinity_of_typed_contents_is_a_number() -> None:
    tensor = tensor_from_json("x", "FP32", [3], Numbers([[float("inf")], [float("-inf"), 1]]))
    assert tensor.array is not None
    assert tensor.array.tolist() == [float("inf"), float("-inf"), 1]


def test_strings_are_limited_before_they_are_read() -> None:
    """Each of a few bytes becomes an object of Python."""
    raw = memoryview(bytes(4 * (MOST_ELEMENTS + 1)))
    text = "has 262145 string elements in input 'x'; the limit of this server is 262144"
    with pytest.raises(TooMany, match=text):
        tensor_from_raw("x", "BYTES", [MOST_ELEMENTS + 1], raw, "m")
    with pytest.raises(TooMany, match=text):
        bytes_tensor("x", [1], [b""] * (MOST_ELEMENTS + 1), "m")
    elements = tensor_from_raw("x", "BYTES", [MOST_ELEMENTS], raw[:-4], "m").elements
    assert len(elements) == MOST_ELEMENTS


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3), np.float32),
        np.zeros((0, 3), np.int64),
        np.array([["", "abc"], ["日本", b"\xff\0"]], np.object_),
        np.zeros((0,), np.object_),
    ],
)
def test_the_size_of_an_output_is_known_before_it_is_written(array: np.ndarray[Any, Any]) -> None:
    assert raw_size(array) == len(to_raw(array))


def test_bytes_elements_are_length_prefixed() -> None:
    raw = b"\x03\0\0\0abc" + b"\0\0\0\0" + b"\x01\0\0\0z"
    assert tensor_from_raw("x", "BYTES", [3], memoryview(raw), "m").elements == (b"abc", b"", b"z")


@pytest.mark.parametrize(
    ("shape", "raw", "message"),
    [
        ([1], b"\x09\0\0\0abc", "expecting string of length 9 but only 3 bytes"),
        ([1], b"\x09\0", "incomplete string length indicator"),
        (
            [2],
            b"\x01\0\0\0a",
            "expected 2 string elements for inference input 'x' for model 'm', got 1",
        ),
        ([1], b"\x01\0\0\0a\x01\0\0\0b", "unexpected number of string elements 2"),
    ],
)
def test_broken_bytes_elements_are_refused(shape: list[int], raw: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        tensor_from_raw("x", "BYTES", shape, memoryview(raw), "m")


def test_raw_bytes_of_another_length_are_refused() -> None:
    with pytest.raises(
        RequestError, match=r"mismatch for input 'x' for model 'm'. Expected 4, got 3"
    ):
        tensor_from_raw("x", "FP32", [1], memoryview(b"abc"), "m")


def test_uint64_of_json_holds_its_largest_number() -> None:
    numbers = [0, 2**64 - 1, 2**53 + 1]
    tensor = tensor_from_json("x", "UINT64", [1, 3], [numbers])
    assert tensor.array is not None
    assert tensor.array.tolist() == [numbers]
    with pytest.raises(RequestError, match="no whole numbers"):
        tensor_from_json("x", "UINT64", [2], [2**64 - 1, 1.5])


def test_classes_of_whole_numbers_are_written_as_such() -> None:
    best = best_classes(np.array([[7, -1, 9]], np.int32), 2, ["a"])
    assert best.tolist() == [[b"9:2", b"7:0:a"]]


@pytest.mark.parametrize(
    ("dtype", "least", "most"),
    [
        ("<i8", -(2**63), 2**63 - 1),
        ("<u8", 0, 2**64 - 1),
        ("|i1", -128, 127),
        ("|u1", 0, 255),
    ],
)
def test_classes_of_whole_numbers_are_told_apart_by_one(dtype: str, least: int, most: int) -> None:
    scores = np.array([[most - 1, least, most, least + 1, most]], dtype)
    best = best_classes(scores, 5, [])
    assert best.tolist() == [
        [
            b"%d:2" % most,
            b"%d:4" % most,
            b"%d:0" % (most - 1),
            b"%d:3" % (least + 1),
            b"%d:1" % least,
        ]
    ]


def test_a_class_with_an_empty_name_has_none() -> None:
    best = best_classes(np.array([[1.0, 2.0]], np.float32), 2, ["a", ""])
    assert best.tolist() == [[b"2.000000:1", b"1.000000:0:a"]]


def test_bytes_contents_must_fill_the_shape() -> None:
    with pytest.raises(
        RequestError,
        match="expected 2 string elements for inference input 'x' for model 'm', got 1",
    ):
        bytes_tensor("x", [2], [b"a"], "m")


def test_bf16_is_taken_as_its_bits() -> None:
    one, minus_two = b"\x80\x3f", b"\x00\xc0"
    tensor = tensor_from_raw("x", "BF16", [2], memoryview(one + minus_two), "m")
    assert tensor.array is not None
    assert tensor.array.tolist() == [0x3F80, 0xC000]


def test_strings_are_utf8_in_either_form() -> None:
    array = np.array(["a", b"\xc3\xa9"], np.object_)
    assert to_raw(array) == b"\x01\0\0\0a\x02\0\0\0\xc3\xa9"
    assert to_json("x", array) == ["a", "\u00e9"]
    with pytest.raises(RequestError, match="ask for it with binary_data"):
        to_json("x", np.array([b"\xff"], np.object_))


def test_fp16_outputs_are_refused_in_json() -> None:
    with pytest.raises(RequestError, match="sending FP16 data via JSON is not supported"):
        to_json("x", np.zeros(1, np.float16))
