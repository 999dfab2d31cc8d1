"""The operators that are told without onnxruntime are those that ONNX's own library reads."""

import random
from pathlib import Path
from typing import BinaryIO

import onnx
import pytest
from onnx import TensorProto, helper

from contract import onnx_fields
from contract.onnx_fields import MOST_FIELDS
from contract.onnx_operators import read_operators
from tests.tiny_models import write_colour_model

OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
X, Y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")


def branch(operator: str) -> onnx.GraphProto:
    """A graph without inputs that a node may hold."""
    return helper.make_graph([helper.make_node(operator, ["x"], ["y"])], operator, [], [Y])


def nested_model() -> onnx.ModelProto:
    """A graph that calls a function and has graphs within a node, one in a list of them."""
    inner = helper.make_node(
        "If", ["c"], ["y"], then_branch=branch("Neg"), else_branch=branch("Abs")
    )
    holder = helper.make_node("Holder", ["x"], ["h"], domain="own")
    holder.attribute.append(helper.make_attribute("graphs", [branch("Sqrt"), branch("Exp")]))
    call = helper.make_node("Quantise", ["x"], ["q"], domain="own")
    body = [helper.make_node("QuantizeLinear", ["a"], ["b"], doc_string="DequantizeLinear")]
    function = helper.make_function("own", "Quantise", ["a"], ["b"], body, OPSETS[:1])
    graph = helper.make_graph([inner, holder, call], "LSTM", [X], [Y])
    return helper.make_model(graph, opset_imports=OPSETS, functions=[function])


def test_operators_of_nested_graphs_and_of_functions_count_and_names_do_not(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save_model(nested_model(), path)
    assert read_operators(path) == {
        *("If", "Neg", "Abs", "Holder", "Sqrt", "Exp", "Quantise", "QuantizeLinear")
    }
    write_colour_model(path)
    graph = onnx.load_model(path).graph
    assert read_operators(path) == {node.op_type for node in graph.node}


def test_what_is_no_graph_has_no_more_operators_than_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    whole = nested_model().SerializeToString()
    path.write_bytes(whole)
    operators = read_operators(path)
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        assert read_operators(path) <= operators
    for text in (b"a model", b"\xff" * 40, b"\x3a\xff\xff\xff\x7f", b"\x03\x04"):
        path.write_bytes(text)
        assert read_operators(path) == frozenset()
    rng = random.Random(0)  # noqa: S311
    for _ in range(300):
        path.write_bytes(rng.randbytes(200))
        read_operators(path)


@pytest.mark.parametrize(("field", "looked_at"), [(b"\0", 2), (b"\x08\0", MOST_FIELDS)])
def test_a_file_of_nothing_but_fields_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: bytes, looked_at: int
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(field * (2 * MOST_FIELDS))
    read, varint = 0, onnx_fields._varint

    def counted(file: BinaryIO) -> tuple[int, int]:
        nonlocal read
        read += 1
        return varint(file)

    monkeypatch.setattr(onnx_fields, "_varint", counted)
    assert read_operators(path) == frozenset()
    assert read <= 2 * looked_at


def test_a_file_that_becomes_shorter_while_it_is_read_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\0" * 100_000)
    varint = onnx_fields._varint

    def shortened(file: BinaryIO) -> tuple[int, int]:
        path.write_bytes(b"")
        return varint(file)

    monkeypatch.setattr(onnx_fields, "_varint", shortened)
    assert read_operators(path) == frozenset()
