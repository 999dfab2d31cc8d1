"""Models that both servers take: one of pictures, and Triton's own kinds of tensor models."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from contract.model_config import MODEL_FILE
from tests.onnx_graphs import ELEMENT_OF_DATATYPE, write_graph
from tests.tiny_models import publish_colour_model

# Strings have a model of their own, and Triton's Python backend has no BF16.
DATATYPES: Final = {
    datatype: element
    for datatype, element in ELEMENT_OF_DATATYPE.items()
    if datatype not in ("BF16", "BYTES")
}

CODED: Final = "names/latin-1.txt"
"""Labels of another output, in a folder, which are no UTF-8."""


def write_models(repository: Path) -> None:
    """`colour`, `simple`, `counted`, `strings`, `types`, `labelled`, `unbatched`, `optional`, `picked`,
    `wide` and `versions`.
    """
    publish_colour_model(repository, "colour")
    _write(repository, "simple", _simple_config("simple"), _simple)
    _write(repository, "counted", _simple_config("counted"), _simple)
    _write(repository, "strings", _identity_config("strings", {"text": "STRING"}, "-1"), _strings)
    _write(repository, "types", _identity_config("types", dict.fromkeys(DATATYPES), "2"), _types)
    _write(repository, "labelled", _LABELLED, _labelled)
    (repository / "labelled/labels.txt").write_text("zero\none\ntwo\nthree\nfour\n")
    (repository / "labelled/names").mkdir()
    (repository / "labelled" / CODED).write_text("null\neins\nzwei\ndrei\nfünf\n", "latin-1")
    _write(repository, "unbatched", _UNBATCHED, _unbatched)
    _write(repository, "optional", _OPTIONAL, _optional)
    _write(repository, "picked", _PICKED, _picked)
    for number in (0, 1):
        _write(repository, "wide", _WIDE, _wide, number)
    (repository / "wide/lines.txt").write_bytes(b"zero\r\none\rand more\r\ntwo\n")
    for number in (1, 2, 3):
        _write(repository, "versions", _VERSIONS, partial(_plus, number), number)


def _write(
    repository: Path, name: str, config: str, graph: Callable[[], onnx.GraphProto], number: int = 1
) -> None:
    folder = repository / name / str(number)
    folder.mkdir(parents=True)
    (folder.parent / "config.pbtxt").write_text(config)
    write_graph(folder / MODEL_FILE, graph())


def _tensor(kind: str, name: str, datatype: str, dims: str, more: str = "") -> str:
    return f'{kind} {{ name: "{name}" data_type: TYPE_{datatype} dims: [{dims}] {more}}}\n'


def _head(name: str, max_batch_size: int) -> str:
    return f'name: "{name}"\nplatform: "onnxruntime_onnx"\nmax_batch_size: {max_batch_size}\n'


def _identity_config(name: str, tensors: dict[str, str | None], dims: str) -> str:
    lines = [_head(name, 4)]
    for tensor, datatype in tensors.items():
        lines.append(_tensor("input", tensor, datatype or tensor, dims))
        lines.append(_tensor("output", f"{tensor}_OUT", datatype or tensor, dims))
    return "".join(lines)


def _simple_config(name: str) -> str:
    return _head(name, 8) + "".join(
        _tensor(kind, f"{kind.upper()}{index}", "INT32", "16")
        for kind in ("input", "output")
        for index in (0, 1)
    )


_LABELLED: Final = (
    _head("labelled", 8)
    + _tensor("input", "values", "FP32", "5")
    + _tensor("output", "scores", "FP32", "5", 'label_filename: "labels.txt" ')
    + _tensor("output", "plain", "FP32", "5")
    + _tensor("output", "coded", "FP32", "5", f'label_filename: "{CODED}" ')
)
_UNBATCHED: Final = (
    _head("unbatched", 0)
    + _tensor("input", "rows", "FP32", "-1, 3")
    + _tensor("output", "sums", "FP32", "-1")
)
_OPTIONAL: Final = (
    _head("optional", 4)
    + _tensor("input", "rows", "FP32", "2")
    + _tensor("input", "bias", "FP32", "2", "optional: true ")
    + _tensor("input", "scale", "FP32", "1", "optional: true ")
    + _tensor("output", "result", "FP32", "2")
    + "dynamic_batching {}\n"
)
_PICKED: Final = (
    _head("picked", 4)
    + _tensor("input", "index", "INT64", "1")
    + _tensor("output", "number", "FP32", "1")
)
WIDTH: Final = 40
"""So many scores of which some are equal are sorted otherwise than few."""

_WIDE: Final = (
    _head("wide", 4)
    + _tensor("input", "values", "FP32", f"{WIDTH}")
    + _tensor("output", "scores", "FP32", f"{WIDTH}")
    + _tensor("output", "lines", "FP32", f"{WIDTH}", 'label_filename: "lines.txt" ')
    + "version_policy: { all {} }\n"
)
_VERSIONS: Final = (
    _head("versions", 4)
    + _tensor("input", "number", "FP32", "1")
    + _tensor("output", "sum", "FP32", "1")
    + "version_policy: { specific: { versions: [1, 3] } }\n"
)


def _value(name: str, datatype: int, *dims: int | str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, datatype, dims)


def _graph(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    constants: Sequence[TensorProto] = (),
) -> onnx.GraphProto:
    return helper.make_graph(nodes, "graph", inputs, outputs, constants)


def _simple() -> onnx.GraphProto:
    """OUTPUT0 = INPUT0 + INPUT1 and OUTPUT1 = INPUT0 - INPUT1, as Triton's model of that name."""
    inputs = [_value(f"INPUT{index}", TensorProto.INT32, "batch", 16) for index in (0, 1)]
    outputs = [_value(f"OUTPUT{index}", TensorProto.INT32, "batch", 16) for index in (0, 1)]
    names = ["INPUT0", "INPUT1"]
    nodes = [
        helper.make_node("Add", names, ["OUTPUT0"]),
        helper.make_node("Sub", names, ["OUTPUT1"]),
    ]
    return _graph(nodes, inputs, outputs)


def _strings() -> onnx.GraphProto:
    values = [_value(name, TensorProto.STRING, "batch", "n") for name in ("text", "text_OUT")]
    return _graph([helper.make_node("Identity", ["text"], ["text_OUT"])], values[:1], values[1:])


def _types() -> onnx.GraphProto:
    nodes = [helper.make_node("Identity", [name], [f"{name}_OUT"]) for name in DATATYPES]
    inputs = [_value(name, datatype, "batch", 2) for name, datatype in DATATYPES.items()]
    outputs = [_value(f"{name}_OUT", datatype, "batch", 2) for name, datatype in DATATYPES.items()]
    return _graph(nodes, inputs, outputs)


def _labelled() -> onnx.GraphProto:
    names = ("values", "scores", "plain", "coded")
    values = [_value(name, TensorProto.FLOAT, "batch", 5) for name in names]
    nodes = [helper.make_node("Identity", ["values"], [name]) for name in names[1:]]
    return _graph(nodes, values[:1], values[1:])


def _wide() -> onnx.GraphProto:
    values = [
        _value(name, TensorProto.FLOAT, "batch", WIDTH) for name in ("values", "scores", "lines")
    ]
    nodes = [helper.make_node("Identity", ["values"], [name]) for name in ("scores", "lines")]
    return _graph(nodes, values[:1], values[1:])


def _unbatched() -> onnx.GraphProto:
    nodes = [helper.make_node("ReduceSum", ["rows", "axes"], ["sums"], keepdims=0)]
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    rows, sums = _value("rows", TensorProto.FLOAT, "n", 3), _value("sums", TensorProto.FLOAT, "n")
    return _graph(nodes, [rows], [sums], [axes])


def _optional() -> onnx.GraphProto:
    """(rows + bias) * scale, where bias is 10, 20 and scale 2 if nothing else is given."""
    widths = {"rows": 2, "bias": 2, "scale": 1, "result": 2}
    values = [_value(name, TensorProto.FLOAT, "batch", width) for name, width in widths.items()]
    defaults = {"bias": [[10.0, 20.0]], "scale": [[2.0]]}
    nodes = [
        helper.make_node("Add", ["rows", "bias"], ["sum"]),
        helper.make_node("Mul", ["sum", "scale"], ["result"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(array, np.float32), name)
        for name, array in defaults.items()
    ]
    return _graph(nodes, values[:3], values[3:], constants)


def _picked() -> onnx.GraphProto:
    """The number at an index of 0, 1 or 2; it fails at another."""
    table = numpy_helper.from_array(np.array([5, 6, 7], np.float32), "table")
    index = _value("index", TensorProto.INT64, "batch", 1)
    node = helper.make_node("Gather", ["table", "index"], ["number"])
    return _graph([node], [index], [_value("number", TensorProto.FLOAT, "batch", 1)], [table])


def _plus(number: int) -> onnx.GraphProto:
    """The input plus the version's number."""
    constant = numpy_helper.from_array(np.array(number, np.float32), "constant")
    values = [_value(name, TensorProto.FLOAT, "batch", 1) for name in ("number", "sum")]
    node = helper.make_node("Add", ["number", "constant"], ["sum"])
    return _graph([node], values[:1], values[1:], [constant])
