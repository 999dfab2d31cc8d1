"""Tiny ONNX graphs of any tensors, of which each output is an input, or a constant, as it came."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ELEMENT_OF_DATATYPE = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


@dataclass(frozen=True, slots=True)
class Through:
    """A tensor that a graph hands through, from input `x` + name to output `y` + name."""

    name: str
    datatype: str
    shape: Sequence[int | str | None]


def model_of(graph: onnx.GraphProto) -> onnx.ModelProto:
    """The model of a graph, checked, of versions that every program of the tests reads."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def write_graph(path: Path, graph: onnx.GraphProto) -> None:
    """Write the model of a graph; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model_of(graph).SerializeToString())


def identity_graph(*tensors: Through) -> onnx.ModelProto:
    """A graph that answers each input `xNAME` as the output `yNAME`."""
    nodes = [
        helper.make_node("Identity", [f"x{tensor.name}"], [f"y{tensor.name}"]) for tensor in tensors
    ]
    inputs, outputs = (
        [
            helper.make_tensor_value_info(
                f"{side}{tensor.name}", ELEMENT_OF_DATATYPE[tensor.datatype], tensor.shape
            )
            for tensor in tensors
        ]
        for side in "xy"
    )
    graph = helper.make_graph(nodes, "through", inputs, outputs)
    return model_of(graph)


def sum_graph() -> onnx.ModelProto:
    """A graph x[n, 2], bias[n, 2] -> y[n, 2], their sum, where bias is 1, 2 if it is not given."""
    bias = numpy_helper.from_array(np.array([[1, 2]], np.float32), "bias")
    names = ("x", "bias", "y")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in names]
    node = helper.make_node("Add", ["x", "bias"], ["y"])
    graph = helper.make_graph([node], "sum", values[:2], values[2:], [bias])
    return model_of(graph)


def int8_graph() -> onnx.ModelProto:
    """A graph x[n, 2] -> y[n, 2], its input rounded to quarters by way of int8."""
    quarter = numpy_helper.from_array(np.array(0.25, np.float32), "quarter")
    zero = numpy_helper.from_array(np.array(0, np.int8), "zero")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "quarter", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "quarter", "zero"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "int8", values[:1], values[1:], [quarter, zero])
    return model_of(graph)


def write_identity(path: Path, *tensors: Through) -> None:
    """Write such a graph; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(identity_graph(*tensors).SerializeToString())


def expanding_graph(datatype: str, value: Any) -> onnx.ModelProto:
    """A graph count[1] -> y[count], so many times `value`; its answer is as large as one asks."""
    element = ELEMENT_OF_DATATYPE[datatype]
    one = helper.make_tensor("one", element, [1], [value])
    count = helper.make_tensor_value_info("count", TensorProto.INT64, [1])
    filled = helper.make_tensor_value_info("y", element, ["n"])
    node = helper.make_node("Expand", ["one", "count"], ["y"])
    graph = helper.make_graph([node], "expanding", [count], [filled], [one])
    return model_of(graph)


def write_expanding(path: Path, datatype: str, value: Any) -> None:
    """Write such a graph; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(expanding_graph(datatype, value).SerializeToString())
