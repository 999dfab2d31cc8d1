"""config.pbtxt: the one description of a model, in Triton's own schema (triton_schema.py).

What the schema lacks (the task, the resize rule, the metrics) is in its `parameters` map, so a
real Triton server accepts the file unchanged. A model of another origin may say less: fields that
its file leaves out are empty here, until `ModelConfig.completed` fills them from the graph.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from google.protobuf import json_format, text_format
from google.protobuf.message import Message

from contract.errors import ConfigError
from contract.triton_schema import Json as Json  # noqa: PLC0414  # what `to_json` returns
from contract.triton_schema import check_numbers, message_to_json, schema

CONFIG_FILE: Final = "config.pbtxt"
MODEL_FILE: Final = "model.onnx"
LABELS_FILE: Final = "labels.txt"
PLATFORM: Final = "onnxruntime_onnx"
BACKEND: Final = "onnxruntime"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor of a model, without the batch axis.

    Attributes:
        name: The tensor's name in the graph.
        datatype: Its KServe V2 datatype, such as UINT8 or FP32; empty if the file names none.
        dims: Its shape without the batch axis; -1 is any size.
        label_filename: The file of class names of an output, or the empty string.
        reshape: The graph's shape of it where that is another than `dims`, or None.
        optional: Whether a request may leave this input out, for the graph's own value.
    """

    name: str
    datatype: str
    dims: tuple[int, ...]
    label_filename: str = ""
    reshape: tuple[int, ...] | None = None
    optional: bool = False


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

    @property
    def model_file(self) -> str:
        """The name of the model's file, or folder, in each version folder."""
        return cast(str, cast(Any, self.message).default_model_filename) or MODEL_FILE

    @property
    def wants_response_cache(self) -> bool:
        """Whether what the model answers is to be kept for requests with equal inputs."""
        return cast(bool, cast(Any, self.message).response_cache.enable)

    @property
    def origin(self) -> tuple[str, str]:
        """Triton's `platform` and `backend`, each the empty string if the file names none."""
        message: Any = self.message
        return message.platform, message.backend

    def with_parameters(self, extra: Mapping[str, str]) -> "ModelConfig":
        """A copy whose `parameters` also hold `extra`."""
        message = type(self.message)()
        message.CopyFrom(self.message)
        _set_parameters(message, extra)
        return _from_message(message)

    def without_parameters(self, names: Iterable[str]) -> "ModelConfig":
        """A copy whose `parameters` do not hold these."""
        message: Any = type(self.message)()
        message.CopyFrom(self.message)
        for name in names:
            message.parameters.pop(name, None)
        return _from_message(message)

    def with_gpu_accelerator(self, name: str) -> "ModelConfig":
        """A copy that names the accelerator for GPUs, with what the file says of it already."""
        message: Any = type(self.message)()
        message.CopyFrom(self.message)
        named = message.optimization.execution_accelerators.gpu_execution_accelerator
        if all(entry.name != name for entry in named):
            named.add(name=name)
        return _from_message(message)

    def renamed(self, name: str) -> "ModelConfig":
        """A copy of another name."""
        message: Any = type(self.message)()
        message.CopyFrom(self.message)
        message.name = name
        return _from_message(message)

    def completed(
        self, max_batch_size: int, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
    ) -> "ModelConfig":
        """A copy with these tensors and what Triton fills in where the file leaves it open.

        A model that takes batches and has no scheduler gets `dynamic_batching`, as Triton's
        onnxruntime backend gives it to a model whose tensors it completes.
        """
        message: Any = type(self.message)()
        message.CopyFrom(self.message)
        if self.needs_tensors and max_batch_size > 1 and not message.HasField("sequence_batching"):
            message.dynamic_batching.SetInParent()
        message.max_batch_size = max_batch_size
        message.platform, message.backend = PLATFORM, BACKEND
        message.default_model_filename = self.model_file
        if not message.HasField("version_policy"):
            message.version_policy.latest.num_versions = 1
        _complete_tensors(message.input, inputs)
        _complete_tensors(message.output, outputs)
        return _from_message(message)

    @property
    def needs_tensors(self) -> bool:
        """Whether the file leaves inputs or outputs open."""
        return not self.inputs or not self.outputs

    def refusal(self, problem: str) -> ConfigError:
        """The error of a configuration that cannot be used."""
        return ConfigError(Path(self.name) / CONFIG_FILE, problem)

    def to_text(self) -> str:
        """The file's text, in protobuf's text format."""
        return text_format.MessageToString(self.message)

    def to_json(self) -> dict[str, Json]:
        """The configuration as Triton's `GET /v2/models/{m}/config` prints it.

        Scalars, lists and maps that are not set are there with their defaults, because clients
        read them (Triton's image_client.py the `format` of an input); messages are not.
        """
        return message_to_json(self.message)


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
        message = text_format.Parse(text, schema().ModelConfig())
        check_numbers(message)
    except (text_format.ParseError, ValueError) as err:
        raise ConfigError(path, f"is not a Triton model configuration: {err}") from err
    if not message.name:
        message.name = model_dir.name
    return _from_message(message)


def empty_model_config(name: str) -> ModelConfig:
    """The configuration of a model without a config.pbtxt."""
    return _from_message(schema().ModelConfig(name=name))


def parse_model_config(text: str) -> ModelConfig:
    """A configuration from JSON text, as a load request has it.

    Raises:
        ValueError: It is not JSON of Triton's schema; the message says where.
    """
    if not text.lstrip().startswith("{"):
        raise ValueError(f"got {text[:40]!r}, expected a JSON object")
    try:
        message = json_format.Parse(text, schema().ModelConfig())
    except (json_format.ParseError, RecursionError) as err:
        raise ValueError(str(err)) from err
    check_numbers(message)
    return _from_message(message)


def make_model_config(
    name: str,
    max_batch_size: int,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    parameters: Mapping[str, str],
) -> ModelConfig:
    """Describe an ONNX model with dynamic batching that batches of up to `max_batch_size` fit."""
    message = schema().ModelConfig(name=name, platform=PLATFORM, max_batch_size=max_batch_size)
    _complete_tensors(message.input, inputs)
    _complete_tensors(message.output, outputs)
    message.dynamic_batching.SetInParent()
    _set_parameters(message, parameters)
    return _from_message(message)


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
    datatype = schema().DataType.Name(entry.data_type).removeprefix("TYPE_")
    return TensorSpec(
        name=entry.name,
        datatype={"STRING": "BYTES", "INVALID": ""}.get(datatype, datatype),
        dims=tuple(entry.dims),
        label_filename=label_filename,
        reshape=tuple(entry.reshape.shape) if entry.HasField("reshape") else None,
        optional=getattr(entry, "optional", False),  # outputs have no such field
    )


def _complete_tensors(entries: Any, specs: Sequence[TensorSpec]) -> None:
    """Give each tensor what its spec says of it; what else the file says stays."""
    present = {entry.name: entry for entry in entries}
    for spec in specs:
        entry = present.get(spec.name)
        if entry is None:
            entry = entries.add(name=spec.name)
            if spec.label_filename:
                entry.label_filename = spec.label_filename
        entry.data_type = _data_type(spec.datatype)
        entry.dims[:] = spec.dims
        if spec.reshape is not None:
            entry.reshape.shape[:] = spec.reshape
            entry.reshape.SetInParent()
        if spec.optional != getattr(entry, "optional", False):
            entry.optional = spec.optional


def _data_type(datatype: str) -> int:
    name = "STRING" if datatype == "BYTES" else datatype
    return cast(int, schema().DataType.Value(f"TYPE_{name}"))


def _set_parameters(message: Any, parameters: Mapping[str, str]) -> None:
    for key, value in parameters.items():
        message.parameters[key].string_value = value
