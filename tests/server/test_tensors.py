import numpy as np
import pytest

from server.errors import RequestError
from server.tensors import (
    bytes_tensor,
    datatype_of,
    tensor_from_json,
    tensor_from_raw,
    to_raw,
)


@pytest.mark.parametrize("dtype", ["u1", "<i4", "<i8", "<f2", "<f4", "<f8", "?"])
def test_raw_bytes_round_trip(dtype: str) -> None:
    array = np.arange(6).astype(dtype).reshape(2, 3)
    tensor = tensor_from_raw("x", datatype_of(array), [2, 3], memoryview(to_raw(array)))
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
        ("UINT8", [3], [1, 2], "cannot reshape"),
        ("UINT8", [2], [[1], [2, 3]], "do not make a UINT8 tensor"),
        ("UINT8", [2], None, "values of kind object"),
        ("BF16", [1], [1], "datatype 'BF16' is unknown"),
        ("UINT8", [-1], [1], "expected a list of sizes"),
        ("UINT8", ["a"], [1], "expected a list of sizes"),
    ],
)
def test_json_data_that_do_not_fit_are_refused(
    datatype: str, shape: list[int], data: object, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        tensor_from_json("x", datatype, shape, data)


def test_bytes_elements_are_length_prefixed() -> None:
    raw = b"\x03\0\0\0abc" + b"\0\0\0\0" + b"\x01\0\0\0z"
    assert tensor_from_raw("x", "BYTES", [3], memoryview(raw)).elements == (b"abc", b"", b"z")


@pytest.mark.parametrize(
    ("shape", "raw", "message"),
    [
        ([1], b"\x09\0\0\0abc", "element 0 runs past the data"),
        ([1], b"\x09\0", "element 0 runs past the data"),
        ([2], b"\x01\0\0\0a", "do not hold exactly 2"),
        ([1], b"\x01\0\0\0a\x01\0\0\0b", "do not hold exactly 1"),
    ],
)
def test_broken_bytes_elements_are_refused(shape: list[int], raw: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        tensor_from_raw("x", "BYTES", shape, memoryview(raw))


def test_raw_bytes_of_another_length_are_refused() -> None:
    with pytest.raises(RequestError, match=r"3 bytes of binary data; shape .* is 4 bytes"):
        tensor_from_raw("x", "FP32", [1], memoryview(b"abc"))


def test_bytes_contents_must_fill_the_shape() -> None:
    with pytest.raises(RequestError, match=r"1 elements; shape \[2\] has 2"):
        bytes_tensor("x", [2], [b"a"])
