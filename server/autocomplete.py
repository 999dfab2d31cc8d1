"""What a config.pbtxt leaves open is completed from the graph; what it says is held against it.

The rules are those of Triton's onnxruntime backend, so that a model of any origin is served as it
would be there. Where an entry names only a tensor, its datatype and dims are completed too.

Source: https://github.com/triton-inference-server/onnxruntime_backend, AutoCompleteConfig.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from contract.model_config import BACKEND, PLATFORM, ModelConfig, TensorSpec
from server.config_fields import refusal_of
from server.errors import LoadError
from server.graph import DATATYPE_OF_ONNX, Graph, GraphTensor

logger = logging.getLogger(__name__)

DEFAULT_MAX_BATCH_SIZE: Final = 4
"""Triton's `--backend-config=default-max-batch-size`."""


def check_origin(config: ModelConfig) -> None:
    """Refuse a model that is not one ONNX graph, or sets a field that is not served.

    Raises:
        LoadError: Names the field and what is served.
    """
    platform, backend = config.origin
    for field, got, expected in (("platform", platform, PLATFORM), ("backend", backend, BACKEND)):
        if got not in ("", expected):
            raise LoadError(
                f"model '{config.name}': {field} {got!r} is not served; this server runs "
                f"ONNX models, {field} {expected!r}"
            )
    if refusal := refusal_of(config):
        raise LoadError(refusal)


def complete(config: ModelConfig, graph: Graph, path: Path) -> ModelConfig:
    """The configuration with every field that the graph decides.

    Raises:
        LoadError: They contradict each other; names the tensor, and what each says of it.
    """
    size = _max_batch_size(config, graph)
    known = (*graph.inputs, *graph.defaults) if config.inputs else graph.inputs
    inputs = _needed(_complete_all("input", config.inputs, known, size, path), graph, config.name)
    outputs = _complete_all("output", config.outputs, graph.outputs, size, path)
    if not outputs:
        raise LoadError(f"{path}: the graph has no output")
    if missing := {tensor.name for tensor in graph.inputs} - {spec.name for spec in inputs}:
        raise LoadError(
            f"{path}: its input '{min(missing)}' is not in config.pbtxt; "
            f"that lists {', '.join(spec.name for spec in inputs)}"
        )
    return config.completed(size, inputs, outputs)


def takes_batches(tensor: GraphTensor) -> bool:
    """Whether the tensor's first axis is of any size."""
    return tensor.shape[:1] == (-1,)


def _max_batch_size(config: ModelConfig, graph: Graph) -> int:
    if config.max_batch_size < 0:
        raise LoadError(
            "'max_batch_size' must be non-negative value in model configuration for "
            f"{config.name}; got {config.max_batch_size}"
        )
    if not config.needs_tensors:
        return config.max_batch_size
    fixed = [one for one in (*graph.inputs, *graph.outputs) if not takes_batches(one)]
    if not fixed:
        return config.max_batch_size or DEFAULT_MAX_BATCH_SIZE
    if config.max_batch_size:
        raise LoadError(
            f"autofill failed for model '{config.name}': model does not support batching while "
            f"non-zero max_batch_size is specified; tensor '{fixed[0].name}' has the shape "
            f"{list(fixed[0].shape)}, whose first axis is not dynamic"
        )
    return 0


def _needed(inputs: Sequence[TensorSpec], graph: Graph, model: str) -> list[TensorSpec]:
    """The inputs, of which those are optional that the graph has a value for."""
    defaults = {tensor.name for tensor in graph.defaults}
    for spec in inputs:
        if spec.optional and spec.name not in defaults:
            logger.warning(
                "model=%s: input '%s' is optional in config.pbtxt, but the graph has no value for "
                "it; requests without it are refused",
                *(model, spec.name),
            )
    return [replace(spec, optional=spec.optional and spec.name in defaults) for spec in inputs]


def _complete_all(
    kind: Literal["input", "output"],
    specs: Sequence[TensorSpec],
    tensors: Sequence[GraphTensor],
    max_batch_size: int,
    path: Path,
) -> list[TensorSpec]:
    by_name = {tensor.name: tensor for tensor in tensors}
    completed = []
    for spec in specs or [TensorSpec(tensor.name, "", ()) for tensor in tensors]:
        if spec.name not in by_name:
            raise LoadError(
                f"{path}: has no {kind} '{spec.name}' of config.pbtxt; it has {', '.join(by_name)}"
            )
        tensor = by_name[spec.name]
        if tensor.datatype not in DATATYPE_OF_ONNX.values():
            raise LoadError(
                f"{path}: {kind} '{tensor.name}' is {tensor.datatype}; expected a tensor of "
                f"{', '.join(DATATYPE_OF_ONNX.values())}"
            )
        full = _complete_spec(spec, tensor, max_batch_size)
        if full.reshape is not None and _parts(full.dims) != _parts(full.reshape):
            raise LoadError(
                f"{path}: {kind} '{spec.name}' has different size for dims and reshape in "
                f"config.pbtxt: {list(full.dims)} and {list(full.reshape)}; expected as many elements"
            )
        if full.datatype != tensor.datatype or not shape_fits(tensor, full, max_batch_size):
            raise LoadError(
                f"{path}: {kind} '{spec.name}' is {tensor.datatype} {list(tensor.shape)}; "
                f"config.pbtxt says {full.datatype} {_describe(full, max_batch_size)}"
            )
        completed.append(full)
    return completed


def _complete_spec(spec: TensorSpec, tensor: GraphTensor, max_batch_size: int) -> TensorSpec:
    """The spec with the graph's datatype and dims where it has none.

    A tensor without an axis beside the batch has dims [1] in Triton's schema, and a reshape.
    """
    full = replace(spec, datatype=spec.datatype or tensor.datatype)
    if spec.dims:
        return full
    dims = tensor.shape[1:] if max_batch_size else tensor.shape
    if dims:
        return replace(full, dims=dims)
    return replace(full, dims=(1,), reshape=() if max_batch_size else spec.reshape)


def _parts(dims: Sequence[int]) -> list[int]:
    """How many elements the axes before, between and behind those of any size have."""
    parts = [1]
    for size in dims:
        if size < 0:
            parts.append(1)
        else:
            parts[-1] *= size
    return parts


def shape_fits(tensor: GraphTensor, spec: TensorSpec, max_batch_size: int) -> bool:
    """Whether the graph takes, or gives, every shape that the spec allows."""
    if not tensor.shape and not max_batch_size:
        return spec.dims == (1,)  # a scalar
    inner = spec.dims if spec.reshape is None else spec.reshape
    expected = (-1, *inner) if max_batch_size else inner
    if len(expected) != len(tensor.shape) or (max_batch_size and not takes_batches(tensor)):
        return False
    return all(size in (-1, dim) for size, dim in zip(tensor.shape, expected, strict=True))


def _describe(spec: TensorSpec, max_batch_size: int) -> str:
    dims = ["batch"] if max_batch_size else []
    text = f"[{', '.join([*dims, *map(str, spec.dims)])}]"
    return text if spec.reshape is None else f"{text} with reshape {list(spec.reshape)}"
