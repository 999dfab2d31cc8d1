"""What a run gives back is what it was given, whatever lies between configuration and graph."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from contract.model_config import parse_model_config
from server.autocomplete import complete
from server.errors import LoadError, RequestError
from server.execution import Run
from server.graph import read_graph
from server.graph_run import graph_run
from server.tensors import NUMPY_OF_DATATYPE, datatype_of
from tests.onnx_graphs import Through, identity_graph


def run_of(*tensors: Through, text: str = "{}") -> Run:
    session = ort.InferenceSession(identity_graph(*tensors).SerializeToString())
    config = complete(parse_model_config(text), read_graph(session), Path("model.onnx"))
    return graph_run(session, config)


def strings(*elements: object) -> NDArray[np.object_]:
    return np.array(elements, dtype=np.object_)


@pytest.mark.parametrize("datatype", NUMPY_OF_DATATYPE)
def test_numbers_of_each_datatype(datatype: str) -> None:
    given = np.arange(6).reshape(3, 2).astype(NUMPY_OF_DATATYPE[datatype])
    (got,) = run_of(Through("", datatype, ["n", 2]))({"x": given}).values()
    np.testing.assert_array_equal(got, given)
    assert got.dtype == given.dtype


def test_bf16_is_its_16_bits_beside_other_tensors() -> None:
    run = run_of(Through("b", "BF16", ["n", 2]), Through("f", "FP32", ["n"]))
    bits = np.array([[0x3F80, 0xBF80], [0x7F80, 0x0001], [0, 0xFFFF]], np.uint16)
    floats = np.arange(3, dtype=np.float32).reshape(3, 1)
    got = run({"xb": bits, "xf": floats})
    np.testing.assert_array_equal(got["yb"].view(np.uint16), bits)
    assert datatype_of(got["yb"]) == "BF16"
    np.testing.assert_array_equal(got["yf"], floats)


def test_bf16_beside_strings_is_refused() -> None:
    with pytest.raises(LoadError, match="BF16 and of strings"):
        run_of(Through("b", "BF16", ["n"]), Through("s", "BYTES", ["n"]))


@pytest.mark.parametrize("shape", [["n", 2], [3, 2]])
def test_strings_are_bytes_on_both_sides(shape: list[int | str | None]) -> None:
    given = strings(b"", "é".encode(), b"b'c'", b"\x00\n", b'"', b"x" * 1000).reshape(3, 2)
    (got,) = run_of(Through("", "BYTES", shape))({"x": given}).values()
    assert got.tolist() == given.tolist()
    assert got.shape == given.shape


def test_a_string_that_is_no_text_is_refused() -> None:
    with pytest.raises(RequestError, match="input 'x': a string is not UTF-8"):
        run_of(Through("", "BYTES", ["n", 1]))({"x": strings(b"\xff").reshape(1, 1)})


@pytest.mark.parametrize("datatype", ["FP32", "BYTES", "BF16"])
def test_a_tensor_of_the_batch_alone_is_seen_with_one_axis_more(datatype: str) -> None:
    values: dict[str, NDArray[Any]] = {
        "FP32": np.arange(3, dtype=np.float32),
        "BYTES": strings(b"a", b"b", b"c"),
        "BF16": np.arange(3, dtype=np.uint16),
    }
    given = values[datatype].reshape(3, 1)
    (got,) = run_of(Through("", datatype, ["n"]))({"x": given}).values()
    assert got.shape == given.shape
    assert (got.tobytes() if datatype == "BF16" else got.tolist()) == (
        given.tobytes() if datatype == "BF16" else given.tolist()
    )


@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
def test_a_scalar_is_seen_as_one_element(datatype: str) -> None:
    given = strings(b"a") if datatype == "BYTES" else np.ones(1, np.float32)
    (got,) = run_of(Through("", datatype, []))({"x": given}).values()
    assert got.tolist() == given.tolist()


def test_a_reshape_of_the_config_lies_between() -> None:
    text = """{"max_batch_size": 8,
        "input": [{"name": "x", "dims": [6], "reshape": {"shape": [2, 3]}}],
        "output": [{"name": "y", "dims": [3, 2], "reshape": {"shape": [2, 3]}}]}"""
    given = np.arange(12, dtype=np.float32).reshape(2, 6)
    (got,) = run_of(Through("", "FP32", ["n", 2, 3]), text=text)({"x": given}).values()
    np.testing.assert_array_equal(got, given.reshape(2, 3, 2))
