"""config.pbtxt's accelerators and instance groups, as Triton writes them."""

import pytest

from contract.accelerators import Accelerator, read_accelerators
from contract.errors import ConfigError
from contract.model_config import ModelConfig
from contract.placement import Placement, place_instances
from tests.model_configs import config_of


def accelerated(text: str) -> ModelConfig:
    return config_of(f'"optimization": {{"execution_accelerators": {{{text}}}}}')


def test_none_is_named() -> None:
    assert read_accelerators(config_of('"maxBatchSize": 1')) == {}


def test_tritons_names_become_onnxruntimes() -> None:
    config = accelerated(
        """
        "gpu_execution_accelerator": [
          {"name": "tensorrt", "parameters": {"precision_mode": "FP16",
            "max_workspace_size_bytes": "1073741824", "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": "/cache"}},
          {"name": "cuda", "parameters": {"cudnn_conv_use_max_workspace": "0"}}],
        "cpu_execution_accelerator": [{"name": "openvino", "parameters": {"precision": "BF16"}}]"""
    )
    engine = {
        "trt_max_workspace_size": "1073741824",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": "/cache",
    }
    assert read_accelerators(config) == {
        "tensorrt": Accelerator("fp16", engine),
        "cuda": Accelerator("", {"cudnn_conv_use_max_workspace": "0"}),
        "openvino": Accelerator("bf16"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '"gpu_execution_accelerator": [{"name": "gpu_io"}]',
            r"m/config\.pbtxt: unknown Execution Accelerator 'gpu_io' is requested; expected a "
            "gpu_execution_accelerator of tensorrt or cuda",
        ),
        (
            '"cpu_execution_accelerator": [{"name": "tensorrt"}]',
            "unknown Execution Accelerator 'tensorrt' .* cpu_execution_accelerator of openvino",
        ),
        (
            '"gpu_execution_accelerator": [{"name": "cuda", "parameters": {"tf32": "1"}}]',
            "cuda has no parameter 'tf32'; expected one of arena_extend_strategy, .* use_tf32",
        ),
        (
            '"gpu_execution_accelerator": [{"name": "tensorrt", "parameters": '
            '{"precision_mode": "BF16"}}]',
            "tensorrt's precision_mode is 'BF16'; expected FP32 or FP16 or INT8",
        ),
        (
            '"cpu_execution_accelerator": [{"name": "openvino", "parameters": '
            '{"precision": "fast"}}]',
            "openvino's precision is 'fast'; expected FP32 or BF16",
        ),
    ],
)
def test_what_is_unknown_is_named_with_what_is_known(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_accelerators(accelerated(text))


def test_an_accelerator_is_added_once_and_keeps_its_parameters() -> None:
    added = config_of('"maxBatchSize": 1').with_gpu_accelerator("tensorrt")
    assert read_accelerators(added) == {"tensorrt": Accelerator()}
    named = accelerated(
        '"gpu_execution_accelerator": [{"name": "tensorrt", "parameters": {"precision_mode": "FP16"}}]'
    )
    assert named.with_gpu_accelerator("tensorrt").to_text() == named.to_text()


@pytest.mark.parametrize(
    ("groups", "gpus", "placed"),
    [
        ("", 0, Placement(1)),
        ("", 2, Placement(1, (0, 1))),
        ('{"count": 2}', 2, Placement(2, (0, 0, 1, 1))),
        ('{"count": 2, "kind": "KIND_CPU"}', 2, Placement(2, is_forced_to_cpu=True)),
        ('{"count": 2, "kind": "KIND_GPU"}', 0, Placement(2, lacks_gpu=True)),
        ('{"count": 2, "kind": "KIND_GPU", "gpus": [1]}', 2, Placement(2, (1, 1))),
        ('{"gpus": [1]}, {"count": 2, "gpus": [0]}', 2, Placement(3, (1, 0, 0))),
        ('{"kind": "KIND_CPU"}, {"kind": "KIND_GPU"}', 0, Placement(2, lacks_gpu=True)),
        ('{"count": 2}, {"kind": "KIND_CPU", "passive": true}', 1, Placement(2, (0, 0))),
    ],
)
def test_instances_are_placed_on_the_gpus_there_are(
    groups: str, gpus: int, placed: Placement
) -> None:
    assert place_instances(config_of(f'"instance_group": [{groups}]'), gpus) == placed


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ('{"kind": "KIND_CPU"}, {"kind": "KIND_GPU"}', "has KIND_CPU and KIND_GPU; expected all"),
        ('{"kind": "KIND_CPU", "gpus": [0]}', "has kind KIND_CPU but specifies one or more GPUs"),
        ('{"gpus": [2]}', "invalid or unsupported gpu id 2; expected 0 to 1"),
    ],
)
def test_a_placement_that_cannot_be_had_is_refused(groups: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        place_instances(config_of(f'"instance_group": [{groups}]'), 2)
