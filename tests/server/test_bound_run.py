"""Io-binding gives what a plain run gives; the CPU's provider takes it too."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from contract.errors import ProviderError
from contract.model_config import parse_model_config
from contract.sessions import detect_machine
from server.autocomplete import complete
from server.bound_run import BoundRun
from server.graph import read_graph
from server.graph_run import graph_run
from server.pinned import PinnedMemory
from server.tensors import NUMPY_OF_DATATYPE
from tests.onnx_graphs import Through, identity_graph

NUMBERS = sorted(set(NUMPY_OF_DATATYPE) - {"BYTES", "BF16"})


class Pageable:
    """Memory that counts what it hands out."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def allocate(self, size: int) -> NDArray[np.uint8]:
        self.sizes.append(size)
        return np.zeros(size, np.uint8)


def session_of(*tensors: Through) -> ort.InferenceSession:
    return ort.InferenceSession(identity_graph(*tensors).SerializeToString())


@pytest.mark.parametrize("datatype", NUMBERS)
def test_numbers_of_each_datatype(datatype: str) -> None:
    session = session_of(Through("", datatype, ["n", 2]))
    given = np.arange(6).reshape(3, 2).astype(NUMPY_OF_DATATYPE.get(datatype, np.uint16))
    (got,) = BoundRun(Pageable())(session, ["y"], {"x": given})
    np.testing.assert_array_equal(got, given)
    assert got.dtype == given.dtype


def test_a_buffer_is_used_again_and_grows() -> None:
    session, memory = session_of(Through("", "FP32", ["n", 2])), Pageable()
    run = BoundRun(memory)
    kept = []
    for rows in (2, 1, 4, 3):
        given = np.random.default_rng(rows).random((rows, 2), np.float32)
        kept.append((given, run(session, ["y"], {"x": given})[0]))
    assert memory.sizes == [16, 32]
    for given, got in kept:  # no run has written over the answer of one before
        np.testing.assert_array_equal(got, given)


def test_inputs_have_buffers_of_their_own_and_outputs_their_order() -> None:
    session = session_of(Through("a", "UINT8", ["n", 3]), Through("b", "INT64", ["n"]))
    a, b = np.arange(6, dtype=np.uint8).reshape(2, 3), np.array([7, 8])
    got_b, got_a = BoundRun(Pageable())(session, ["yb", "ya"], {"xa": a, "xb": b})
    np.testing.assert_array_equal(got_a, a)
    np.testing.assert_array_equal(got_b, b)


def test_an_input_that_does_not_lie_in_one_piece_is_gathered() -> None:
    session = session_of(Through("", "FP32", ["n", 2]))
    given = np.arange(8, dtype=np.float32).reshape(2, 4).T[::2]
    (got,) = BoundRun(Pageable())(session, ["y"], {"x": given})
    np.testing.assert_array_equal(got, given)


@pytest.mark.parametrize(("datatype", "bound"), [("FP32", True), ("BF16", False), ("BYTES", False)])
def test_a_model_runs_through_it_if_all_tensors_are_numbers(datatype: str, bound: bool) -> None:
    session, memory = session_of(Through("", datatype, ["n", 2])), Pageable()
    config = complete(parse_model_config("{}"), read_graph(session), Path("model.onnx"))
    run = graph_run(session, config, BoundRun(memory))
    given: NDArray[Any] = np.array([[b"a", b"b"]], np.object_)
    if datatype != "BYTES":
        given = np.zeros((1, 2), NUMPY_OF_DATATYPE.get(datatype, np.uint16))
    assert run({"x": given})["y"].shape == (1, 2)
    assert bool(memory.sizes) is bound


def test_there_is_no_pinned_memory_without_a_driver() -> None:
    if detect_machine().gpus:
        assert PinnedMemory(0).allocate(10).nbytes == 10
        return
    with pytest.raises(ProviderError, match="no pinned memory without the CUDA driver"):
        PinnedMemory(0).allocate(10)
