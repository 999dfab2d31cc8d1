"""config.pbtxt: the one description of a model, in Triton's own schema.

The schema is tritonclient's `model_config_pb2`, loaded by its location: importing it through its
package would register `package inference` beside KServe's and end the process. What Triton's
schema lacks (the task, the resize rule, the metrics) is in its `parameters` map, so a real
Triton server accepts the file unchanged.

Source: https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
"""

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias, cast

from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from contract.errors import ConfigError

CONFIG_FILE: Final = "config.pbtxt"
MODEL_FILE: Final = "model.onnx"
LABELS_FILE: Final = "labels.txt"
PLATFORM: Final = "onnxruntime_onnx"

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_SCHEMA_MODULE = "tritonclient.grpc.model_config_pb2"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor of a model, without the batch axis.

    Attributes:
        name: The tensor's name in the graph.
        datatype: Its KServe V2 datatype, such as UINT8 or FP32.
        dims: Its shape without the batch axis; -1 is any size.
        label_filename: The file of class names of an output, or the empty string.
    """

    name: str
    datatype: str
    dims: tuple[int, ...]
    label_filename: str = ""


@dataclass(frozen=True)
class ModelConfig:
    """A model's config.pbtxt, read once.

    Attributes:
        name: The model's name, which is its folder's.
        max_batch_size: Largest batch of one execution; 0 means that the graph has no batch axis.
        inputs: Input tensors without the batch axis.
        outputs: Output tensors without the batch axis.
        parameters: Triton's free `parameters` map: task, resize rule, metrics and the like.
        message: The whole file as a protobuf message of Triton's schema.
    """

    name: str
    max_batch_size: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: Mapping[str, str]
    message: Message

    @property
    def task(self) -> str:
        """The vision task, from the parameter `task`, or the empty string."""
        return self.parameters.get("task", "")

    def with_parameters(self, extra: Mapping[str, str]) -> "ModelConfig":
        """A copy whose `parameters` also hold `extra`."""
        message = type(self.message)()
        message.CopyFrom(self.message)
        _set_parameters(message, extra)
        return _from_message(message)

    def renamed(self, name: str) -> "ModelConfig":
        """A copy of another name."""
        message: Any = type(self.message)()
        message.CopyFrom(self.message)
        message.name = name
        return _from_message(message)

    def to_text(self) -> str:
        """The file's text, in protobuf's text format."""
        return text_format.MessageToString(self.message)

    def to_json(self) -> dict[str, Json]:
        """The configuration as Triton's `GET /v2/models/{m}/config` prints it: set fields only."""
        return _message_to_json(self.message)


def read_model_config(model_dir: Path) -> ModelConfig:
    """Read `model_dir`/config.pbtxt.

    Raises:
        ConfigError: The file is missing, or is not of Triton's schema.
    """
    path = model_dir / CONFIG_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(path, f"cannot be read: {err}") from err
    try:
        message = text_format.Parse(text, _schema().ModelConfig())
    except text_format.ParseError as err:
        raise ConfigError(path, f"is not a Triton model configuration: {err}") from err
    if not message.name:
        message.name = model_dir.name
    return _from_message(message)


def make_model_config(
    name: str,
    max_batch_size: int,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    parameters: Mapping[str, str],
) -> ModelConfig:
    """Describe an ONNX model with dynamic batching that batches of up to `max_batch_size` fit."""
    schema = _schema()
    message = schema.ModelConfig(name=name, platform=PLATFORM, max_batch_size=max_batch_size)
    for spec in inputs:
        message.input.add(name=spec.name, data_type=_data_type(spec.datatype), dims=spec.dims)
    for spec in outputs:
        message.output.add(
            name=spec.name,
            data_type=_data_type(spec.datatype),
            dims=spec.dims,
            label_filename=spec.label_filename,
        )
    message.dynamic_batching.SetInParent()
    _set_parameters(message, parameters)
    return _from_message(message)


@cache
def _schema() -> Any:  # a generated module without types; no caller outside this file sees it
    spec = importlib.util.find_spec("tritonclient")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("tritonclient is not installed; pip install tritonclient")
    location = Path(spec.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    loaded = sys.modules.get(_SCHEMA_MODULE)
    return loaded if loaded is not None else _load_module(location)


def _load_module(location: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("contract._triton_model_config_pb2", location)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{location} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _from_message(message: Any) -> ModelConfig:
    return ModelConfig(
        name=message.name,
        max_batch_size=message.max_batch_size,
        inputs=tuple(_tensor_spec(entry) for entry in message.input),
        outputs=tuple(_tensor_spec(entry, entry.label_filename) for entry in message.output),
        parameters={key: value.string_value for key, value in message.parameters.items()},
        message=message,
    )


def _tensor_spec(entry: Any, label_filename: str = "") -> TensorSpec:
    datatype = _schema().DataType.Name(entry.data_type).removeprefix("TYPE_")
    return TensorSpec(
        name=entry.name,
        datatype="BYTES" if datatype == "STRING" else datatype,
        dims=tuple(entry.dims),
        label_filename=label_filename,
    )


def _data_type(datatype: str) -> int:
    name = "STRING" if datatype == "BYTES" else datatype
    return cast(int, _schema().DataType.Value(f"TYPE_{name}"))


def _set_parameters(message: Any, parameters: Mapping[str, str]) -> None:
    for key, value in parameters.items():
        message.parameters[key].string_value = value


def _message_to_json(message: Message) -> dict[str, Json]:
    """Set fields by their schema names; 64-bit integers stay numbers, unlike protobuf's JSON."""
    return {field.name: _field_to_json(field, value) for field, value in message.ListFields()}


def _field_to_json(field: FieldDescriptor, value: Any) -> Json:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        value_field = entry.fields_by_name["value"]
        return {str(key): _value_to_json(value_field, value[key]) for key in value}
    if field.is_repeated:
        return [_value_to_json(field, item) for item in value]
    return _value_to_json(field, value)


def _value_to_json(field: FieldDescriptor, value: Any) -> Json:
    if field.message_type is not None:
        return _message_to_json(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return cast(Json, value)
