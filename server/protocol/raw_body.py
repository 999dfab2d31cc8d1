"""A raw binary request: the whole body is the model's one input, or a picture file.

Source: Triton's extension binary_tensor_data, "raw binary request", and
InferenceRequest::Normalize of its core.
"""

import math
from dataclasses import dataclass
from io import BytesIO

from contract.model_config import ModelConfig, TensorSpec
from contract.pictures import begins_as_file, upright_size
from server.errors import RequestError
from server.shared_memory import SharedMemory
from server.tensors import BYTES, NUMPY_OF_DATATYPE, Tensor, tensor_from_raw


@dataclass(frozen=True, slots=True)
class Target:
    """What a body is read for.

    Attributes:
        config: The model's configuration.
        pictures: Whether a BYTES element is a picture file, in JSON as base64 text.
        memory: The shared memory that its tensors may lie in.
        max_depth: How deep its JSON may nest.
    """

    config: ModelConfig
    pictures: bool
    memory: SharedMemory
    max_depth: int


def only_input(body: bytes, target: Target) -> Tensor:
    """The whole body as the model's one input; of another size, or beginning so, as a picture file.

    Raises:
        RequestError: The model has more inputs, or a shape that the body's size does not tell.
    """
    config = target.config
    if not config.inputs:
        raise RequestError(f"[request id: <id_unknown>] {_not_one(config)}")
    spec = config.inputs[0]
    dims = list(spec.dims)
    tensor_bytes = math.prod(dims) * _item_bytes(spec.datatype)
    fits = len(config.inputs) == 1 and len(body) == tensor_bytes
    if target.pictures and (not fits or _is_file(body)):
        return Tensor(spec.name, BYTES, (1,), elements=(body,))
    if fault := _fault(config, spec):
        raise RequestError(f"[request id: <id_unknown>] {fault}")
    batch = [1] if config.max_batch_size else []
    if spec.datatype == BYTES:
        return Tensor(spec.name, BYTES, (*batch, *dims), elements=(body,))
    if -1 in dims:
        dims[dims.index(-1)] = len(body) // max(1, -tensor_bytes)
    return tensor_from_raw(spec.name, spec.datatype, [*batch, *dims], memoryview(body), config.name)


def _is_file(body: bytes) -> bool:
    """Whether a body that may be pixels is a picture file, by its header."""
    return begins_as_file(body) and upright_size(BytesIO(body)) is not None


def _fault(config: ModelConfig, spec: TensorSpec) -> str:
    """Why a body alone does not tell the model's inputs; empty if it does."""
    if len(config.inputs) != 1:
        return _not_one(config)
    if spec.dims.count(-1) > 1:
        return (
            f"The shape of the raw input '{spec.name}' can not be deduced because there are more "
            "than one variable-sized dimension"
        )
    if spec.datatype == BYTES and (-1 in spec.dims or math.prod(spec.dims) != 1):
        return f"For BYTE datatype raw input '{spec.name}', the model must have input shape [1]"
    return ""


def _not_one(config: ModelConfig) -> str:
    return (
        "Raw request must only have 1 input (found 1) to be deduced but got "
        f"{len(config.inputs)} inputs in '{config.name}' model configuration"
    )


def _item_bytes(datatype: str) -> int:
    return NUMPY_OF_DATATYPE[datatype].itemsize if datatype in NUMPY_OF_DATATYPE else 2
