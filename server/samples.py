"""Inputs to warm a model up with: zeros, random numbers, or the content of a file.

Files lie in the model's folder `warmup` and nowhere else.
"""

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contract.model_config import ModelConfig
from contract.warm_ups import WARM_UP_FOLDER, WarmUp, WarmUpInput
from server.bytes_elements import split_elements
from server.errors import LoadError, RequestError
from server.execution import Row
from server.tensors import BF16, BYTES, NUMPY_OF_DATATYPE

MOST_ELEMENTS: Final = 2**28
"""Elements of an input that a model is warmed up with."""

_SEED: Final = 0


def default_row(config: ModelConfig) -> Row | None:
    """Zeros for each input that is needed, without the batch axis.

    None where an axis may have any size, or is too long to be tried, or no input is needed.
    """
    needed = [spec for spec in config.inputs if not spec.optional]
    if not needed or any(dim < 0 for spec in needed for dim in spec.dims):
        return None
    if any(math.prod(spec.dims) > MOST_ELEMENTS for spec in needed):
        return None
    return {spec.name: _zeros(spec.datatype, spec.dims) for spec in needed}


def warm_up_row(model_dir: Path, entry: WarmUp) -> Row:
    """The inputs of a warm-up request, without the batch axis.

    Raises:
        LoadError: A file cannot be read, is outside its folder, or is too short; or a tensor is
            too large.
    """
    return {name: _tensor(model_dir, name, spec) for name, spec in entry.inputs.items()}


def _tensor(model_dir: Path, name: str, spec: WarmUpInput) -> NDArray[Any]:
    if (count := math.prod(spec.dims)) > MOST_ELEMENTS:
        raise LoadError(
            f"{model_dir}: model_warmup: input '{name}' has {count} elements; "
            f"expected up to {MOST_ELEMENTS}"
        )
    match spec.data:
        case "file":
            return _from_file(model_dir, name, spec)
        case "random" if spec.datatype != BYTES:
            return _random(spec)
    return _zeros(spec.datatype, spec.dims)


def _zeros(datatype: str, dims: tuple[int, ...]) -> NDArray[Any]:
    if datatype == BYTES:
        return np.full(dims, b"", np.object_)
    return np.zeros(dims, _dtype(datatype))


def _random(spec: WarmUpInput) -> NDArray[Any]:
    rng = np.random.default_rng(_SEED)
    dtype = _dtype(spec.datatype)
    if dtype.kind == "f":
        return rng.random(spec.dims).astype(dtype)
    if dtype.kind == "b" or spec.datatype == BF16:  # bits 0 and 1 are the numbers 0 and 1e-40
        return rng.integers(0, 2, spec.dims).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, spec.dims, dtype, endpoint=True)


def _from_file(model_dir: Path, name: str, spec: WarmUpInput) -> NDArray[Any]:
    folder = (model_dir / WARM_UP_FOLDER).resolve()
    path = (folder / spec.file).resolve()
    if not path.is_relative_to(folder):
        raise LoadError(f"{folder / spec.file} leads out of {folder}")
    try:
        content = path.read_bytes()
    except OSError as err:
        raise LoadError(f"{path}: {err.strerror or err}") from err
    count = math.prod(spec.dims)
    if spec.datatype == BYTES:
        try:
            elements = split_elements(name, count, memoryview(content), model_dir.name)
        except RequestError as err:
            raise LoadError(f"{path}: {err}") from err
        array = np.empty(count, np.object_)
        array[:] = elements
        return array.reshape(spec.dims)
    dtype = _dtype(spec.datatype)
    if len(content) < count * dtype.itemsize:
        raise LoadError(
            f"{path}: warmup setting expects {count * dtype.itemsize} bytes for input '{name}', "
            f"but the file has {len(content)}"
        )
    return np.frombuffer(content, dtype, count).reshape(spec.dims)


def _dtype(datatype: str) -> np.dtype[Any]:
    return np.dtype(np.uint16) if datatype == BF16 else NUMPY_OF_DATATYPE[datatype]
