"""V2 tensors: datatypes, and bytes or JSON <-> numpy.

Source: https://github.com/kserve/open-inference-protocol, and Triton's binary tensor data
extension (little endian; a BYTES element is a 4-byte length and its bytes).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contract.model_config import Json
from server.bytes_elements import (
    Text,
    check_count,
    check_most,
    join_elements,
    joined_size,
    split_elements,
    texts_of,
)
from server.decoder import PictureFile
from server.errors import RequestError
from server.json_numbers import numbers_from_json
from server.shapes import check_shape

NUMPY_OF_DATATYPE: Final[Mapping[str, np.dtype[np.generic]]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
BYTES: Final = "BYTES"

BF16: Final = "BF16"
BF16_BITS: Final = np.dtype("V2")
"""The dtype of a BF16 output: two bytes that are no number to numpy, so none is taken for one."""

DATATYPE_OF_NUMPY: Final[Mapping[np.dtype[Any], str]] = {
    BF16_BITS: BF16,
    **{dtype: name for name, dtype in NUMPY_OF_DATATYPE.items()},
}
_PIECE: Final = 1 << 20

NOT_IN_JSON: Final = ("FP16", BF16)
"""Datatypes that Triton refuses in JSON, either way."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a request.

    Attributes:
        name: The input's name.
        datatype: Its V2 datatype.
        shape: Its shape, with the batch axis where the model has one.
        array: Its numbers; BF16 as the 16 bits of each. None for BYTES.
        elements: For BYTES, the elements in row-major order: picture files or strings.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    array: NDArray[np.generic] | None = None
    elements: tuple[PictureFile, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output that a request asks for.

    Attributes:
        name: The output's name.
        classes: How many of its best classes to answer as "score:index:label" text instead of
            the numbers; 0 for the numbers.
    """

    name: str
    classes: int = 0


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A V2 inference request, whatever it came by.

    Attributes:
        id: The client's name for the request, echoed in the response.
        inputs: Its tensors.
        outputs: The outputs it asks for; empty asks for all.
        priority: Its level in the queue, 1 the most urgent; 0 asks for the model's default.
        timeout_us: How long it may wait in the queue, in microseconds; 0 asks for the default.
    """

    id: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[RequestedOutput, ...] = field(default=())
    priority: int = 0
    timeout_us: int = 0


def tensor_from_raw(
    name: str, datatype: str, shape: Sequence[int], raw: memoryview, model: str
) -> Tensor:
    """A tensor from the binary tensor data of one input of `model`.

    Raises:
        RequestError: Unknown datatype, or the bytes do not fill the shape.
        TooMany: More string elements than a tensor may have.
    """
    dims = check_raw(name, datatype, shape, len(raw), model)
    if datatype == BYTES:
        elements = split_elements(name, math.prod(dims), raw, model)
        return Tensor(name, datatype, dims, elements=elements)
    return Tensor(name, datatype, dims, np.frombuffer(raw, _dtype(name, datatype)).reshape(dims))


def check_raw(
    name: str, datatype: str, shape: Sequence[int], size: int, model: str
) -> tuple[int, ...]:
    """The shape of a tensor that `size` bytes of binary tensor data may fill.

    Raises:
        RequestError: Unknown datatype, or they cannot.
        TooMany: More string elements than a tensor may have.
    """
    dims = check_shape(name, shape)
    count = math.prod(dims)
    if datatype == BYTES:
        check_most(name, count)
        return dims
    expected = count * _dtype(name, datatype).itemsize
    if size != expected:
        raise RequestError(
            f"input byte size mismatch for input '{name}' for model '{model}'. "
            f"Expected {expected}, got {size}"
        )
    return dims


def tensor_from_json(name: str, datatype: str, shape: Sequence[int], data: object) -> Tensor:
    """A numeric tensor from the nested or flat list of a JSON request.

    Raises:
        RequestError: Unknown datatype, other values than its own, or another number of them.
    """
    dims = check_shape(name, shape)
    dtype = _dtype(name, datatype)
    if datatype in NOT_IN_JSON:
        raise RequestError(
            f"receiving {datatype} data via JSON is not supported. Please use the binary data "
            f"format for input {name}"
        )
    try:
        numbers = numbers_from_json(data, dtype)
        if numbers.size != math.prod(dims):
            raise RequestError(
                "Unable to parse 'data': Shape does not match true shape of 'data' field: input "
                f"'{name}' has {numbers.size} values, shape {list(dims)} has {math.prod(dims)}"
            )
        return Tensor(name, datatype, dims, numbers.reshape(dims))
    except (TypeError, ValueError, OverflowError) as err:
        raise RequestError(
            f"input '{name}': data do not make a {datatype} tensor of shape {list(dims)}: {err}"
        ) from err


def bytes_tensor(
    name: str, shape: Sequence[int], elements: Sequence[PictureFile], model: str
) -> Tensor:
    """A BYTES tensor of `model` from its elements.

    Raises:
        RequestError: Another number of elements than the shape has.
        TooMany: More than a tensor of strings may have.
    """
    dims = check_shape(name, shape)
    check_most(name, len(elements))
    check_count(name, math.prod(dims), len(elements), model)
    return Tensor(name, BYTES, dims, elements=tuple(elements))


def best_classes(
    scores: NDArray[np.generic], count: int, labels: Sequence[str]
) -> NDArray[np.object_]:
    """Best classes of scores[N, K], best first -> b"score:index:label"[N, min(count, K)].

    The label is left out where `labels` has none for the index, or an empty one. Floats have six
    decimals. Surrogates in a label stand for bytes, as `surrogateescape` makes them.

    Source: Triton's classification extension,
    https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md
    """
    rows: NDArray[Any] = scores.reshape(len(scores), -1)
    floats = rows.dtype.kind == "f"
    # ~ turns the order of whole numbers round, those without a sign and the least of them, too.
    best = np.argsort(-rows if floats else ~rows, axis=1, kind="stable")[:, :count]
    form = "f" if floats else "d"
    texts = [
        [_class_text(f"{row[i]:{form}}", i, labels) for i in indices.tolist()]
        for row, indices in zip(rows, best, strict=True)
    ]
    elements = [[text.encode(errors="surrogateescape") for text in line] for line in texts]
    return np.array(elements, dtype=np.object_).reshape(best.shape)


def _class_text(score: str, index: int, labels: Sequence[str]) -> str:
    label = labels[index] if index < len(labels) else ""
    return f"{score}:{index}:{label}" if label else f"{score}:{index}"


def raw_pieces(array: NDArray[np.generic]) -> list[bytes]:
    """The binary tensor data of an output; BYTES elements are an array of objects.

    In pieces, because a copy holds the interpreter until it is made.
    """
    if array.dtype == np.object_:
        return list(join_elements(array.reshape(-1).tolist())) or [b""]
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return [data[start : start + _PIECE].tobytes() for start in range(0, len(data) or 1, _PIECE)]


def raw_size(array: NDArray[np.generic]) -> int:
    """The bytes of the binary tensor data of an output."""
    if array.dtype == np.object_:
        return joined_size(array.reshape(-1).tolist())
    return array.nbytes


def to_raw(array: NDArray[np.generic]) -> bytes:
    """The same in one; `join` lets the interpreter go where that is long."""
    return b"".join(raw_pieces(array))


def to_json(name: str, array: NDArray[np.generic]) -> NDArray[np.generic] | list[Text]:
    """The flat `data` of the output `name`; BYTES elements become text.

    Raises:
        RequestError: JSON cannot hold the output; binary data can.
    """
    if datatype_of(array) in NOT_IN_JSON:
        raise RequestError(
            f"sending {datatype_of(array)} data via JSON is not supported. Please use the binary "
            f"data format for output '{name}'"
        )
    if array.dtype != np.object_:
        return np.ascontiguousarray(array).reshape(-1)
    return texts_of(name, array.reshape(-1).tolist())


def datatype_of(array: NDArray[np.generic]) -> str:
    """The V2 datatype of an array."""
    if array.dtype == np.object_:
        return BYTES
    return DATATYPE_OF_NUMPY[array.dtype.newbyteorder("<")]


def describe_tensor(name: str, array: NDArray[np.generic]) -> dict[str, Json]:
    """The `name`, `datatype` and `shape` of an output in a JSON response."""
    return {"name": name, "datatype": datatype_of(array), "shape": list(array.shape)}


def _dtype(name: str, datatype: str) -> np.dtype[np.generic]:
    if datatype == BF16:
        return np.dtype("<u2")
    try:
        return NUMPY_OF_DATATYPE[datatype]
    except KeyError:
        known = ", ".join([*NUMPY_OF_DATATYPE, BF16, BYTES])
        raise RequestError(
            f"invalid datatype for input {name}: got {datatype[:20]!r}, expected one of {known}"
        ) from None
