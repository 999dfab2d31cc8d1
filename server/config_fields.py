"""Every field of Triton's model configuration: whether it is honoured, refused, or has no effect.

`FIELDS` is the one table; tests walk the schema, so that none is ignored unseen. A field's path names
the fields that lead to it. What is not honoured covers all below it; maps count as their values.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from contract.model_config import ModelConfig

HONOURED: Final = "honoured"


@dataclass(frozen=True, slots=True)
class Field:
    """What becomes of a field.

    Attributes:
        fate: honoured; refused: a model that sets it is not served; without effect: it is served,
            and a warning says so.
        why: In words, where it is not honoured.
        default: What says nothing, where that is not the schema's own default.
    """

    fate: Literal["honoured", "refused", "without effect"]
    why: str = ""
    default: object = None


def _honoured(below: str, *names: str) -> dict[str, Field]:
    return {f"{below}.{name}" if below else name: Field(HONOURED) for name in names}


def _refused(why: str, *paths: str) -> dict[str, Field]:
    return dict.fromkeys(paths, Field("refused", why))


def _without_effect(why: str, *paths: str, default: object = None) -> dict[str, Field]:
    return dict.fromkeys(paths, Field("without effect", why, default))


_QUEUE_POLICY: Final = (
    "timeout_action",
    "default_timeout_microseconds",
    "allow_timeout_override",
    "max_queue_size",
)
_TENSOR: Final = ("name", "data_type", "dims", "reshape.shape")
_ACCELERATORS: Final = ("gpu_execution_accelerator", "cpu_execution_accelerator")
_ALONE: Final = (
    "this server runs models whose requests stand alone, with dynamic_batching or without"
)
_RAGGED: Final = "requests of different shapes do not share a run"
_TENSORRT_ONLY: Final = "it is of Triton's TensorRT backend; this server runs ONNX models"
_OWN_PACE: Final = "tensors are gathered and copied as fits the machine"

FIELDS: Final[Mapping[str, Field]] = {
    **_honoured("", "name", "platform", "backend", "max_batch_size", "default_model_filename"),
    **_honoured("version_policy", "latest.num_versions", "all", "specific.versions"),
    **_honoured("input", *_TENSOR, "format", "optional"),
    **_honoured("output", *_TENSOR, "label_filename"),
    **_honoured("optimization.graph", "level"),
    **_honoured(
        "optimization.execution_accelerators",
        *(f"{kind}.{name}" for kind in _ACCELERATORS for name in ("name", "parameters")),
    ),
    **_honoured(
        "dynamic_batching",
        "preferred_batch_size",
        "max_queue_delay_microseconds",
        "preserve_ordering",
        "priority_levels",
        "default_priority_level",
        *(f"default_queue_policy.{name}" for name in _QUEUE_POLICY),
        *(f"priority_queue_policy.{name}" for name in _QUEUE_POLICY),
    ),
    **_honoured("instance_group", "name", "kind", "count", "gpus", "passive"),
    **_honoured("instance_group.rate_limiter.resources", "name", "global", "count"),
    **_honoured("instance_group.rate_limiter", "priority"),
    **_honoured("parameters", "string_value"),
    **_honoured("model_warmup", "name", "batch_size", "count"),
    **_honoured(
        "model_warmup.inputs", "data_type", "dims", "zero_data", "random_data", "input_data_file"
    ),
    **_honoured("response_cache", "enable"),
    **_refused(_ALONE, "sequence_batching", "ensemble_scheduling"),
    **_refused(_RAGGED, "input.allow_ragged_batch", "batch_input", "batch_output"),
    **_refused(
        _TENSORRT_ONLY,
        *(f"{kind}.is_shape_tensor" for kind in ("input", "output")),
        *(f"{kind}.is_non_linear_format_io" for kind in ("input", "output")),
        "instance_group.profile",
    ),
    **_refused(
        "each request has one response; set it to false", "model_transaction_policy.decoupled"
    ),
    **_refused("no native code of a model is loaded", "model_operations.op_library_filename"),
    **_refused(
        "no agent is here; do its work before the model is published",
        "model_repository_agents.agents",
    ),
    **_without_effect("onnxruntime is the only library of models", "runtime"),
    **_without_effect("no model's threads go before another's", "optimization.priority"),
    **_without_effect(_TENSORRT_ONLY, "optimization.cuda"),
    **_without_effect(
        "inputs of a GPU lie in pinned memory",
        "optimization.input_pinned_memory.enable",
        default=True,
    ),
    **_without_effect(
        "onnxruntime copies outputs of a GPU by itself",
        "optimization.output_pinned_memory.enable",
        default=True,
    ),
    **_without_effect(
        _OWN_PACE, "optimization.gather_kernel_buffer_threshold", "optimization.eager_batching"
    ),
    **_without_effect("there are no policies of hosts to name", "instance_group.host_policy"),
    **_without_effect(
        "accelerators are named in optimization.execution_accelerators",
        "instance_group.secondary_devices",
    ),
    **_without_effect(
        "every device runs the file default_model_filename, or model.onnx", "cc_model_filenames"
    ),
    **_without_effect("/metrics has Triton's labels model and version alone", "metric_tags"),
    **_without_effect("the buckets of /metrics are fixed", "model_metrics"),
}
"""What becomes of each field, by its path."""


PARAMETERS: Final[Mapping[str, Field]] = {
    **_honoured(
        "",
        "intra_op_thread_count",
        "inter_op_thread_count",
        "execution_mode",
        "enable_mem_arena",
        "enable_mem_pattern",
        "session.use_device_allocator_for_initializers",
    ),
    **_without_effect(
        "an arena keeps its memory for the next run", "memory.enable_memory_arena_shrinkage"
    ),
    **_without_effect("each instance has a session of its own", "share_session_between_instances"),
    **_without_effect(
        "set it in gpu_execution_accelerator, name: cuda",
        "cudnn_conv_algo_search",
        "gpu_mem_limit",
        "arena_extend_strategy",
        "do_copy_in_default_stream",
    ),
}
"""What becomes of each of the `parameters` that Triton's onnxruntime backend knows."""

_OWN: Final = Field(HONOURED)
_UNKNOWN: Final = Field("without effect", "this server does not know it")


def refusal_of(config: ModelConfig) -> str:
    """Why a model is not served because of a field that it sets; empty if there is none."""
    for path in set_paths(config.message):
        field = FIELDS.get(path, _UNKNOWN)
        if field.fate == "refused":
            return f"model '{config.name}': {path} is not served; {field.why}"
    return ""


def warnings_of(config: ModelConfig) -> list[str]:
    """A line for each field that the model sets and that has no effect."""
    fields = {path: FIELDS.get(path, _UNKNOWN) for path in set_paths(config.message)}
    fields |= {f"parameters.{key}": PARAMETERS.get(key, _OWN) for key in config.parameters}
    return [
        f"{path} has no effect: {field.why}"
        for path, field in fields.items()
        if field.fate == "without effect"
    ]


def set_paths(message: Message, below: str = "") -> Iterator[str]:
    """The paths of the table whose fields say something else than their default."""
    for field in cast("Sequence[FieldDescriptor]", message.DESCRIPTOR.fields):
        path = f"{below}.{field.name}" if below else field.name
        if field.message_type is None or FIELDS.get(path, _OWN).fate != HONOURED:
            if _says_something(message, field, path):
                yield path
        elif field.is_repeated or message.HasField(field.name):
            for one in _messages(field, getattr(message, field.name)):
                yield from set_paths(one, path)


def _says_something(message: Message, field: FieldDescriptor, path: str) -> bool:
    value: Any = getattr(message, field.name)
    if field.is_repeated:
        return len(value) > 0
    if field.message_type is not None:
        refused = FIELDS[path].fate == "refused"  # even `sequence_batching {}` says something
        return message.HasField(field.name) and (refused or value.ByteSize() > 0)
    default = FIELDS.get(path, _OWN).default
    return bool(value != (field.default_value if default is None else default))


def _messages(field: FieldDescriptor, value: Any) -> list[Message]:
    """The messages of a field; of a map, its values, if they are messages."""
    if not field.is_repeated:
        return [value]
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        values = [value[key] for key in value]
        return [one for one in values if isinstance(one, Message)]
    return list(value)
