"""Configurations of one small model: what config.pbtxt may say beside the model itself."""

from pathlib import Path
from typing import Final

from tests.tiny_models import publish_colour_model

_POLICY: Final = (
    "{ timeout_action: DELAY default_timeout_microseconds: 5000000 "
    "allow_timeout_override: true max_queue_size: 64 }"
)
_INPUT: Final = 'key: "image" value { data_type: TYPE_UINT8 dims: [8, 8, 3]'

_ONE_INSTANCE: Final = "instance_group [ { count: 1 kind: KIND_CPU } ]\n"

ACCEPTED: Final = {
    "as_written": "",
    "batching": _ONE_INSTANCE
    + "dynamic_batching { preferred_batch_size: [2, 4] max_queue_delay_microseconds: 100 "
    f"default_queue_policy {_POLICY} priority_levels: 2 "
    f"default_priority_level: 1 priority_queue_policy {{ key: 2 value {_POLICY} }} }}\n"
    "version_policy { latest { num_versions: 2 } }",
    "accelerated": _ONE_INSTANCE
    + "optimization { graph { level: 1 } execution_accelerators { cpu_execution_accelerator { "
    'name: "openvino" parameters { key: "precision" value: "fp32" } } '
    'gpu_execution_accelerator { name: "tensorrt" '
    'parameters { key: "precision_mode" value: "FP16" } '
    'parameters { key: "max_workspace_size_bytes" value: "1073741824" } } '
    'gpu_execution_accelerator { name: "cuda" } } }\n'
    'version_policy { all {} } default_model_filename: "model.onnx" backend: "onnxruntime"\n'
    'metric_tags { key: "a" value: "b" }',
    "warmed_up": _ONE_INSTANCE
    + f'model_warmup {{ name: "zero" batch_size: 2 inputs {{ {_INPUT} zero_data: true }} }} }}\n'
    'model_warmup { name: "random" batch_size: 1 count: 3 '
    f"inputs {{ {_INPUT} random_data: true }} }} }}\n"
    "version_policy { specific { versions: [1] } }",
    "ordered": _ONE_INSTANCE + "dynamic_batching { preserve_ordering: true }",
    "automatic": "instance_group [ { count: 1 kind: KIND_AUTO } ]",
    "without_effect": 'instance_group [ { kind: KIND_CPU name: "a" host_policy: "b" '
    "secondary_devices { kind: KIND_NVDLA device_id: 0 } } ]\n"
    "optimization { priority: PRIORITY_MAX cuda { graphs: true busy_wait_events: true } "
    "input_pinned_memory { enable: false } output_pinned_memory { enable: false } "
    "gather_kernel_buffer_threshold: 4 eager_batching: true graph { level: 5 } }\n"
    'cc_model_filenames { key: "8.0" value: "other.onnx" } metric_tags { key: "a" value: "b" }\n'
    'parameters { key: "gpu_mem_limit" value { string_value: "1" } }',
    "one_passive": "instance_group [ { kind: KIND_CPU }, { kind: KIND_CPU passive: true } ]",
    "limited": 'instance_group [ { kind: KIND_CPU rate_limiter { resources { name: "R" count: 4 } '
    "priority: 2 } } ]",
    "tuned": _ONE_INSTANCE
    + 'parameters { key: "intra_op_thread_count" value { string_value: "1" } }\n'
    'parameters { key: "execution_mode" value { string_value: "1" } }\n'
    'parameters { key: "enable_mem_arena" value { string_value: "0" } }',
}
"""What is written behind the model's own configuration, by the model's name."""

REFUSED: Final = {
    "unknown_field": "max_batch_sizes: 8",
    "unknown_value": 'parameters { key: "x" value { number: 5 } }',
    "preferred_over_maximum": "dynamic_batching { preferred_batch_size: [16] }",
    "preferred_zero": "dynamic_batching { preferred_batch_size: [0] }",
    "preferred_negative": "dynamic_batching { preferred_batch_size: [-1] }",
    "default_priority_missing": "dynamic_batching { priority_levels: 2 }",
    "default_priority_beyond": "dynamic_batching { priority_levels: 2 default_priority_level: 3 }",
    "policy_beyond": "dynamic_batching { priority_levels: 2 default_priority_level: 1 "
    f"priority_queue_policy {{ key: 3 value {_POLICY} }} }}",
    "no_such_version": "version_policy { specific { versions: [7] } }",
    "priorities_in_order": "dynamic_batching { preserve_ordering: true priority_levels: 2 "
    "default_priority_level: 1 }",
    "two_schedulers": "dynamic_batching {} sequence_batching {}",
    "warm_up_of_another_shape": 'model_warmup { name: "w" batch_size: 1 inputs { key: "image" '
    "value { data_type: TYPE_UINT8 dims: [8, 9, 3] zero_data: true } } }",
    "warm_up_of_no_file": 'model_warmup { name: "w" batch_size: 1 inputs { key: "image" value { '
    'data_type: TYPE_UINT8 dims: [8, 8, 3] input_data_file: "none" } } }',
    "output_without_type": 'output { name: "other" dims: [3] }',
    "gpu_for_the_cpu": "instance_group [ { kind: KIND_CPU gpus: [0] } ]",
    "profile": 'instance_group [ { kind: KIND_CPU profile: "0" } ]',
    "agent": 'model_repository_agents { agents { name: "nobody" } }',
    "output_without_dims": 'output { name: "other" data_type: TYPE_FP32 }',
}

NOT_SERVED: Final = {
    "decoupled": "model_transaction_policy { decoupled: true }",
    "operations": 'model_operations { op_library_filename: "operations.so" }',
    "batch_input": 'batch_input { kind: BATCH_ELEMENT_COUNT target_name: "count" '
    'data_type: TYPE_INT32 source_input: "image" }',
    "batch_output": "batch_output { kind: BATCH_SCATTER_WITH_INPUT_SHAPE "
    'target_name: "scores" source_input: "image" }',
    "all_passive": "instance_group [ { kind: KIND_CPU passive: true } ]",
    "execution_mode": 'parameters { key: "execution_mode" value { string_value: "2" } }',
}
"""The same of what Triton takes and this server refuses; its backend refuses the last."""

CHANGED: Final = {
    "negative_batch": ("max_batch_size: 8", "max_batch_size: -1"),
    "not_text_format": ('name: "not_text_format"', '{"name": "not_text_format"}'),
    "other_type": ("TYPE_UINT8", "TYPE_UINT9"),
    "shape_tensor": ("dims: 3\n}", "dims: 3\n  is_shape_tensor: true\n}"),
    "non_linear": ("dims: 3\n}", "dims: 3\n  is_non_linear_format_io: true\n}"),
}
"""What is written instead of a part of the configuration; all of it is refused."""

FORGIVEN: Final = {
    "other_library": ("dynamic_batching", 'runtime: "libtriton_other.so" dynamic_batching'),
    "another_name": ('name: "another_name"', 'name: "another"'),
    "latest_0": (
        "dynamic_batching",
        "version_policy { latest { num_versions: 0 } } dynamic_batching",
    ),
}
"""The same of what Triton refuses and this server takes."""


def write_configurations(repository: Path) -> None:
    """A model under the name of each configuration."""
    for name, text in {**ACCEPTED, **REFUSED, **NOT_SERVED}.items():
        config = publish_colour_model(repository, name) / "config.pbtxt"
        written = config.read_text()
        if "dynamic_batching" in text:
            written = written.replace("dynamic_batching {\n}\n", "")
        config.write_text(f"{written}{text}\n")
    for name, (old, new) in {**CHANGED, **FORGIVEN}.items():
        config = publish_colour_model(repository, name) / "config.pbtxt"
        written = config.read_text()
        assert old in written
        config.write_text(written.replace(old, new, 1))
