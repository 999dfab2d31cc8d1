"""V2 tensors: datatypes, and bytes or JSON <-> numpy.

Source: https://github.com/kserve/open-inference-protocol, and Triton's binary tensor data
extension (little endian; a BYTES element is a 4-byte length and its bytes).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contract.model_config import Json
from server.decoder import Source
from server.errors import RequestError

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
DATATYPE_OF_NUMPY: Final = {dtype: name for name, dtype in NUMPY_OF_DATATYPE.items()}
BYTES: Final = "BYTES"

_KINDS_OF: Final = {"b": "b", "u": "iu", "i": "iu", "f": "iuf"}
_PART_NUMBERS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a request: numbers in `array`, or, for BYTES, picture files in `elements`."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    array: NDArray[np.generic] | None = None
    elements: tuple[Source, ...] = ()


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
    """

    id: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[RequestedOutput, ...] = field(default=())


def tensor_from_raw(name: str, datatype: str, shape: Sequence[int], raw: memoryview) -> Tensor:
    """A tensor from the binary tensor data of one input.

    Raises:
        RequestError: Unknown datatype, or the bytes do not fill the shape.
    """
    dims = _check_shape(name, shape)
    if datatype == BYTES:
        return Tensor(name, datatype, dims, elements=_split_elements(name, math.prod(dims), raw))
    dtype = _dtype(name, datatype)
    expected = math.prod(dims) * dtype.itemsize
    if len(raw) != expected:
        raise RequestError(
            f"input '{name}': {len(raw)} bytes of binary data; "
            f"shape {list(dims)} of {datatype} is {expected} bytes"
        )
    try:
        return Tensor(name, datatype, dims, np.frombuffer(raw, dtype).reshape(dims))
    except (ValueError, OverflowError) as err:  # an axis beyond what numpy can address
        raise RequestError(f"input '{name}': shape {list(dims)} cannot be used: {err}") from err


def tensor_from_json(name: str, datatype: str, shape: Sequence[int], data: object) -> Tensor:
    """A numeric tensor from the nested or flat list of a JSON request.

    Raises:
        RequestError: Unknown datatype, other values than its own, or another number of them.
    """
    dims = _check_shape(name, shape)
    dtype = _dtype(name, datatype)
    try:
        parts = [_numbers(part, dtype) for part in _parts(data)]
        flat: NDArray[np.generic] = np.concatenate(parts) if parts else np.zeros(0, dtype)
        return Tensor(name, datatype, dims, flat.reshape(dims))
    except (TypeError, ValueError, OverflowError) as err:
        raise RequestError(
            f"input '{name}': data do not make a {datatype} tensor of shape {list(dims)}: {err}"
        ) from err


def bytes_tensor(name: str, shape: Sequence[int], elements: Sequence[Source]) -> Tensor:
    """A BYTES tensor from its elements.

    Raises:
        RequestError: Another number of elements than the shape has.
    """
    dims = _check_shape(name, shape)
    if len(elements) != math.prod(dims):
        raise RequestError(
            f"input '{name}': {len(elements)} elements; shape {list(dims)} has {math.prod(dims)}"
        )
    return Tensor(name, BYTES, dims, elements=tuple(elements))


def best_classes(
    scores: NDArray[np.generic], count: int, labels: Sequence[str]
) -> NDArray[np.object_]:
    """Best classes of scores[N, K], best first -> b"score:index:label"[N, min(count, K)].

    The label is left out where `labels` has none for the index.

    Source: Triton's classification extension,
    https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md
    """
    rows = scores.reshape(len(scores), -1)
    best = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :count]
    texts = [
        [
            f"{row[i]:f}:{i}:{labels[i]}" if i < len(labels) else f"{row[i]:f}:{i}"
            for i in indices.tolist()
        ]
        for row, indices in zip(rows, best, strict=True)
    ]
    elements = [[text.encode() for text in line] for line in texts]
    return np.array(elements, dtype=np.object_).reshape(best.shape)


def to_raw(array: NDArray[np.generic]) -> bytes:
    """The binary tensor data of an output; BYTES elements are an array of objects."""
    if array.dtype != np.object_:
        return np.ascontiguousarray(array).tobytes()
    elements: list[bytes] = array.reshape(-1).tolist()
    return b"".join(len(element).to_bytes(4, "little") + element for element in elements)


def to_json(array: NDArray[np.generic]) -> NDArray[np.generic] | list[str]:
    """The flat `data` of an output; BYTES elements become text."""
    if array.dtype != np.object_:
        return np.ascontiguousarray(array).reshape(-1)
    elements: list[bytes] = array.reshape(-1).tolist()
    return [element.decode() for element in elements]


def datatype_of(array: NDArray[np.generic]) -> str:
    """The V2 datatype of an array."""
    if array.dtype == np.object_:
        return BYTES
    return DATATYPE_OF_NUMPY[array.dtype.newbyteorder("<")]


def describe_tensor(name: str, array: NDArray[np.generic]) -> dict[str, Json]:
    """The `name`, `datatype` and `shape` of an output in a JSON response."""
    return {"name": name, "datatype": datatype_of(array), "shape": list(array.shape)}


def _dtype(name: str, datatype: str) -> np.dtype[np.generic]:
    try:
        return NUMPY_OF_DATATYPE[datatype]
    except KeyError:
        known = ", ".join([*NUMPY_OF_DATATYPE, BYTES])
        raise RequestError(
            f"input '{name}': datatype {datatype!r} is unknown; expected one of {known}"
        ) from None


def _check_shape(name: str, shape: Sequence[Any]) -> tuple[int, ...]:
    if not all(isinstance(dim, int) and not isinstance(dim, bool) and dim >= 0 for dim in shape):
        raise RequestError(f"input '{name}': shape {list(shape)}; expected a list of sizes >= 0")
    return tuple(shape)


def _parts(data: object) -> Iterator[object]:
    """Nested lists in parts small enough that numpy does not hold the interpreter for long."""
    if not isinstance(data, list):
        yield data
    elif any(isinstance(item, list) and item and isinstance(item[0], list) for item in data[:1]):
        for item in data:
            yield from _parts(item)
    else:
        width = len(data[0]) if data and isinstance(data[0], list) else 1
        step = max(1, _PART_NUMBERS // max(1, width))
        for start in range(0, len(data), step):
            yield data[start : start + step]


def _numbers(part: object, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """One part as a flat array of `dtype`; refuses values that are not of it."""
    values = np.asarray(part)
    if values.size and values.dtype.kind not in _KINDS_OF[dtype.kind]:
        raise TypeError(f"values of kind {values.dtype}")
    if dtype.kind in "ui" and values.size:
        _check_range(values, np.iinfo(dtype))
    return values.astype(dtype).reshape(-1)


def _check_range(values: NDArray[Any], info: np.iinfo[Any]) -> None:
    if values.min() < info.min or values.max() > info.max:
        raise ValueError(f"a value outside [{info.min}, {info.max}]")


def _split_elements(name: str, count: int, raw: memoryview) -> tuple[bytes, ...]:
    elements: list[bytes] = []
    offset = 0
    while offset < len(raw) and len(elements) < count:
        end = offset + 4 + int.from_bytes(raw[offset : offset + 4], "little")
        if offset + 4 > len(raw) or end > len(raw):
            raise RequestError(f"input '{name}': BYTES element {len(elements)} runs past the data")
        elements.append(bytes(raw[offset + 4 : end]))
        offset = end
    if offset != len(raw) or len(elements) != count:
        raise RequestError(
            f"input '{name}': {len(raw)} bytes do not hold exactly {count} BYTES elements"
        )
    return tuple(elements)
