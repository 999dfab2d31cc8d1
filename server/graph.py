"""The tensors of an ONNX graph, as the session that opened it tells them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import onnxruntime as ort

DATATYPE_OF_ONNX: Final[Mapping[str, str]] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(bfloat16)": "BF16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """An input or output of a graph.

    Attributes:
        name: Its name.
        datatype: Its KServe V2 datatype; ONNX's own word, such as seq(map(...)), if it has none.
        shape: Its whole shape; -1 is any size.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """What a graph takes and gives.

    Attributes:
        inputs: What each run needs.
        outputs: What it gives.
        defaults: Inputs with a value of their own, an initializer, which a run may replace.
    """

    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...]
    defaults: tuple[GraphTensor, ...] = ()

    @property
    def has_strings(self) -> bool:
        """Whether an input or an output is of strings."""
        return any(tensor.datatype == "BYTES" for tensor in (*self.inputs, *self.outputs))


def read_graph(session: ort.InferenceSession) -> Graph:
    """The tensors of the session's graph."""
    return Graph(
        _tensors(session.get_inputs()),
        _tensors(session.get_outputs()),
        _tensors(session.get_overridable_initializers()),
    )


def _tensors(nodes: Iterable[Any]) -> tuple[GraphTensor, ...]:
    return tuple(
        GraphTensor(
            node.name,
            DATATYPE_OF_ONNX.get(node.type, node.type),
            tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape or ()),
        )
        for node in nodes
    )
