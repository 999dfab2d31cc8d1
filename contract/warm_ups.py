"""The requests that config.pbtxt wants answered before a model is ready: its `model_warmup`.

Source: https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Literal

from contract.model_config import ModelConfig

WARM_UP_FOLDER: Final = "warmup"


@dataclass(frozen=True, slots=True)
class WarmUpInput:
    """What one input of a warm-up request holds.

    Attributes:
        datatype: Its V2 datatype.
        dims: Its shape, without the batch axis where the model has one.
        data: Zeros, random numbers, or a file's content.
        file: The file's name in the model's folder `warmup`, for `data` of "file".
    """

    datatype: str
    dims: tuple[int, ...]
    data: Literal["zero", "random", "file"]
    file: str = ""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """A request to answer before the model is ready.

    Attributes:
        name: What the configuration calls it.
        batch_size: Its rows, all alike.
        count: How often it is run.
        inputs: Its tensors by name.
    """

    name: str
    batch_size: int
    count: int
    inputs: Mapping[str, WarmUpInput]


def read_warm_ups(config: ModelConfig) -> tuple[WarmUp, ...]:
    """Read and check a model's warm-up requests; one of batch size 0 is skipped, as by Triton.

    Raises:
        ConfigError: One does not fit the model's inputs, or names a file outside its folder.
    """
    message: Any = config.message  # its class is generated, without types
    return tuple(_warm_up(config, entry) for entry in message.model_warmup if entry.batch_size)


def _warm_up(config: ModelConfig, message: Any) -> WarmUp:
    if message.batch_size > max(1, config.max_batch_size):
        raise config.refusal(
            f"model_warmup '{message.name}': batch_size is {message.batch_size}; "
            f"expected up to {max(1, config.max_batch_size)}"
        )
    expected = {spec.name: spec.datatype for spec in config.inputs}
    inputs = {name: _warm_up_input(config, message, name) for name in message.inputs}
    needed = {spec.name for spec in config.inputs if not spec.optional}
    given = {name: one.datatype for name, one in inputs.items()}
    if not given.items() <= expected.items() or not needed <= given.keys():
        raise config.refusal(
            f"model_warmup '{message.name}': its inputs are "
            f"{', '.join(f'{name} {one.datatype}' for name, one in sorted(inputs.items())) or 'none'}; "
            f"expected {', '.join(f'{name} {datatype}' for name, datatype in sorted(expected.items()))}"
        )
    return WarmUp(message.name, message.batch_size, max(1, message.count), inputs)


def _warm_up_input(config: ModelConfig, message: Any, name: str) -> WarmUpInput:
    entry = message.inputs[name]
    where = f"model_warmup '{message.name}': input '{name}'"
    datatype = entry.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[
        entry.data_type
    ]
    known = datatype.name.removeprefix("TYPE_").replace("STRING", "BYTES")
    if any(dim < 0 for dim in entry.dims):
        raise config.refusal(f"{where} has dims {list(entry.dims)}; expected sizes of 0 or more")
    dims = tuple(entry.dims)
    match entry.WhichOneof("input_data_type"):
        case "zero_data":
            return WarmUpInput(known, dims, "zero")
        case "random_data":
            return WarmUpInput(known, dims, "random")
        case "input_data_file":
            return WarmUpInput(known, dims, "file", _file_name(config, where, entry))
    raise config.refusal(f"{where}: give zero_data, random_data or input_data_file")


def _file_name(config: ModelConfig, where: str, entry: Any) -> str:
    name: str = entry.input_data_file
    if name in ("", ".", "..") or PurePosixPath(name).name != name or "\0" in name:
        raise config.refusal(
            f"{where}: input_data_file is {name!r}; expected a file's name in {WARM_UP_FOLDER}/"
        )
    return name
