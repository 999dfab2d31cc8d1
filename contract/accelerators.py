"""What config.pbtxt names to run a model with: `optimization.execution_accelerators`.

The names and parameters are those of Triton's onnxruntime backend, and each becomes an option of
the execution provider; `precision` of openvino is Aperture's own.

Source: https://github.com/triton-inference-server/onnxruntime_backend/blob/main/README.md
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from contract.model_config import ModelConfig

AcceleratorName: TypeAlias = Literal["tensorrt", "cuda", "openvino"]

PRECISIONS: Final[Mapping[AcceleratorName, tuple[str, ...]]] = {
    "tensorrt": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "bf16"),
}
"""The arithmetic that an accelerator may be told to compute in."""

_PRECISION_PARAMETER: Final[Mapping[AcceleratorName, str]] = {
    "tensorrt": "precision_mode",
    "openvino": "precision",
}

_TENSORRT_RENAMED: Final = {
    "max_workspace_size_bytes": "trt_max_workspace_size",
    "int8_calibration_table_name": "trt_int8_calibration_table_name",
    "int8_use_native_calibration_table": "trt_int8_use_native_calibration_table",
}
_TENSORRT_OPTIONS: Final = (
    "trt_auxiliary_streams",
    "trt_build_heuristics_enable",
    "trt_builder_optimization_level",
    "trt_context_memory_sharing_enable",
    "trt_detailed_build_log",
    "trt_dla_core",
    "trt_dla_enable",
    "trt_dump_subgraphs",
    "trt_engine_cache_enable",
    "trt_engine_cache_path",
    "trt_engine_cache_prefix",
    "trt_extra_plugin_lib_paths",
    "trt_force_sequential_engine_build",
    "trt_force_timing_cache",
    "trt_layer_norm_fp32_fallback",
    "trt_max_partition_iterations",
    "trt_min_subgraph_size",
    "trt_profile_max_shapes",
    "trt_profile_min_shapes",
    "trt_profile_opt_shapes",
    "trt_sparsity_enable",
    "trt_tactic_sources",
    "trt_timing_cache_enable",
    "trt_timing_cache_path",
)
# A captured CUDA graph is bound to one batch size, so enable_cuda_graph is not among them.
_CUDA_OPTIONS: Final = (
    "arena_extend_strategy",
    "cudnn_conv1d_pad_to_nc1d",
    "cudnn_conv_algo_search",
    "cudnn_conv_use_max_workspace",
    "do_copy_in_default_stream",
    "enable_skip_layer_norm_strict_mode",
    "gpu_mem_limit",
    "prefer_nhwc",
    "use_ep_level_unified_stream",
    "use_tf32",
)

_OPTION_OF: Final[Mapping[AcceleratorName, Mapping[str, str]]] = {
    "tensorrt": {**_TENSORRT_RENAMED, **{name: name for name in _TENSORRT_OPTIONS}},
    "cuda": {name: name for name in _CUDA_OPTIONS},
    "openvino": {},
}


@dataclass(frozen=True, slots=True)
class Accelerator:
    """An accelerator that config.pbtxt names.

    Attributes:
        precision: The arithmetic it is told to compute in, or the empty string.
        options: Options of onnxruntime's execution provider, by its names for them.
    """

    precision: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


Accelerators: TypeAlias = Mapping[AcceleratorName, Accelerator]


def read_accelerators(config: ModelConfig) -> Accelerators:
    """Read and check what config.pbtxt names; empty if it leaves the choice open.

    Raises:
        ConfigError: A name or a parameter is unknown, or has a value that it cannot have.
    """
    message: Any = config.message  # its class is generated, without types
    named = message.optimization.execution_accelerators
    return {
        **_read(config, "gpu", named.gpu_execution_accelerator, ("tensorrt", "cuda")),
        **_read(config, "cpu", named.cpu_execution_accelerator, ("openvino",)),
    }


def _read(
    config: ModelConfig, kind: str, entries: Iterable[Any], known: tuple[AcceleratorName, ...]
) -> dict[AcceleratorName, Accelerator]:
    read: dict[AcceleratorName, Accelerator] = {}
    for entry in entries:
        name = next((one for one in known if one == entry.name), None)
        if name is None:
            raise config.refusal(
                f"unknown Execution Accelerator '{entry.name}' is requested; expected a "
                f"{kind}_execution_accelerator of {' or '.join(known)}"
            )
        read[name] = _accelerator(config, name, dict(entry.parameters))
    return read


def _accelerator(
    config: ModelConfig, name: AcceleratorName, parameters: Mapping[str, str]
) -> Accelerator:
    precision = ""
    options = {}
    names, precision_name = _OPTION_OF[name], _PRECISION_PARAMETER.get(name)
    for key, value in parameters.items():
        if key == precision_name:
            precision = value.lower()
            _check_precision(config, name, key, value)
        elif key in names:
            options[names[key]] = value
        else:
            known = sorted([*names, *([precision_name] if precision_name else [])])
            raise config.refusal(
                f"{name} has no parameter {key!r}; expected one of {', '.join(known)}"
            )
    return Accelerator(precision, options)


def _check_precision(config: ModelConfig, name: AcceleratorName, key: str, value: str) -> None:
    if value.lower() not in PRECISIONS[name]:
        expected = " or ".join(one.upper() for one in PRECISIONS[name])
        raise config.refusal(f"{name}'s {key} is {value!r}; expected {expected}")
