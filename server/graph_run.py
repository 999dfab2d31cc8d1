"""Between a configuration's tensors and its graph's: one run of a session.

What lies between: a `reshape` and scalars; strings, which are bytes to a client and text to
onnxruntime; BF16, which numpy has no type for: its 16 bits here, as uint16 in and BF16_BITS out.
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from contract.model_config import ModelConfig, TensorSpec
from server.errors import LoadError, RequestError
from server.execution import Row, Run
from server.tensors import BF16_BITS

_ONNX_BFLOAT16: Final = 16
"""TensorProto.DataType.BFLOAT16."""


RunNumbers = Callable[
    [ort.InferenceSession, Sequence[str], Mapping[str, Any]], Sequence[NDArray[Any]]
]
"""Runs a session: the names of its outputs, and its inputs by name, to those outputs."""


def graph_run(
    session: ort.InferenceSession, config: ModelConfig, run_numbers: RunNumbers | None = None
) -> Run:
    """What runs a batch of the configuration's inputs and returns its outputs, by name.

    Args:
        session: The session.
        config: Its configuration, complete.
        run_numbers: What runs it if all its tensors are numbers that numpy knows.

    Raises:
        LoadError: onnxruntime's Python interface cannot hand over such tensors side by side.
    """
    names = [spec.name for spec in config.outputs]
    inputs = (*session.get_inputs(), *session.get_overridable_initializers())
    shapes = {node.name: node.shape for node in (*inputs, *session.get_outputs())}
    batched = config.max_batch_size > 0
    give = {spec.name: _giver(spec, shapes[spec.name], batched) for spec in config.inputs}
    take = {spec.name: _taker(spec, shapes[spec.name], batched) for spec in config.outputs}
    datatypes = {spec.datatype for spec in (*config.inputs, *config.outputs)}
    if datatypes >= {"BF16", "BYTES"}:
        raise LoadError(
            f"model '{config.name}' has tensors of BF16 and of strings; onnxruntime's Python "
            "interface takes either, not both in one model"
        )
    run: RunNumbers = _run_values if "BF16" in datatypes else _run_arrays
    if run_numbers is not None and not datatypes & {"BF16", "BYTES"}:
        run = run_numbers

    def run_graph(inputs: Row) -> Row:
        feeds = {
            name: convert(array) if (convert := give[name]) else array
            for name, array in inputs.items()
        }
        outputs = zip(names, run(session, names, feeds), strict=True)
        return {
            name: convert(array) if (convert := take[name]) else array for name, array in outputs
        }

    return run_graph


Convert = Callable[[NDArray[Any]], Any]


def _run_arrays(
    session: ort.InferenceSession, names: Sequence[str], feeds: Mapping[str, Any]
) -> Sequence[NDArray[Any]]:
    arrays: Sequence[NDArray[Any]] = session.run(names, feeds)
    return arrays


def _run_values(
    session: ort.InferenceSession, names: Sequence[str], feeds: Mapping[str, Any]
) -> Sequence[NDArray[Any]]:
    """As `_run_arrays`, where a tensor is BF16: onnxruntime gives that as an OrtValue alone."""
    values = {
        name: ort.OrtValue.ortvalue_from_numpy(feed) if isinstance(feed, np.ndarray) else feed
        for name, feed in feeds.items()
    }
    return [_array_of(value) for value in session.run_with_ort_values(names, values)]


def _array_of(value: ort.OrtValue) -> NDArray[Any]:
    if value.element_type() != _ONNX_BFLOAT16:
        array: NDArray[Any] = value.numpy()
        return array
    shape = tuple(value.shape())
    bits = np.empty(shape, np.uint16)
    ctypes.memmove(bits.ctypes.data, value.data_ptr(), bits.nbytes)
    return bits.view(BF16_BITS)


def _giver(spec: TensorSpec, shape: Sequence[object], batched: bool) -> Convert | None:
    """How an input of the configuration becomes the graph's; None if it is that already."""
    inner = spec.reshape if shape or batched else ()
    if spec.datatype == "BYTES":
        return lambda array: _texts(spec.name, _reshaped(array, inner, batched))
    if spec.datatype == "BF16":
        return lambda array: ort.OrtValue.ortvalue_from_numpy_with_onnx_type(
            np.ascontiguousarray(_reshaped(array, inner, batched)), _ONNX_BFLOAT16
        )
    return None if inner is None else lambda array: _reshaped(array, inner, batched)


def _taker(spec: TensorSpec, shape: Sequence[object], batched: bool) -> Convert | None:
    """How an output of the graph becomes the configuration's; None if it is that already."""
    inner = spec.dims if spec.reshape is not None or not (shape or batched) else None
    if spec.datatype == "BYTES":
        return lambda array: _reshaped(_bytes(array), inner, batched)
    return None if inner is None else lambda array: _reshaped(array, inner, batched)


def _reshaped(array: NDArray[Any], inner: Sequence[int] | None, batched: bool) -> NDArray[Any]:
    if inner is None:
        return array
    return array.reshape((len(array), *inner) if batched else inner)


def _texts(name: str, array: NDArray[Any]) -> NDArray[np.object_]:
    try:
        elements = [one.decode() if isinstance(one, bytes) else one for one in array.reshape(-1)]
    except UnicodeDecodeError as err:
        raise RequestError(f"input '{name}': a string is not UTF-8: {err}") from err
    return _objects(elements, array.shape)


def _bytes(array: NDArray[Any]) -> NDArray[np.object_]:
    return _objects([str(one).encode() for one in array.reshape(-1)], array.shape)


def _objects(elements: Sequence[object], shape: Sequence[int]) -> NDArray[np.object_]:
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    return array.reshape(shape)
