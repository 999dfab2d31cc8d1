"""Where the instances of a model run: `instance_group` of config.pbtxt on this machine's GPUs.

As in Triton, a group of KIND_GPU or KIND_AUTO has its count of instances on each of its GPUs, and
KIND_AUTO is on the GPUs where there are some. Unlike in Triton, KIND_GPU without a GPU is run on
the CPU, and `lacks_gpu` says so; and the instances of a model are either all on GPUs or all on the
CPU.
"""

from dataclasses import dataclass
from typing import Final

from contract.instance_groups import read_instance_groups
from contract.model_config import ModelConfig

_CPU: Final = "KIND_CPU"
_GPU: Final = "KIND_GPU"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the instances of a model run.

    Attributes:
        instances: How many there are on each GPU of a group, or on the CPU.
        gpus: The CUDA device of each instance; empty where they run on the CPU.
        lacks_gpu: Whether config.pbtxt asks for a GPU that is not here.
        is_forced_to_cpu: Whether config.pbtxt asks for the CPU.
    """

    instances: int = 1
    gpus: tuple[int, ...] = ()
    lacks_gpu: bool = False
    is_forced_to_cpu: bool = False

    @property
    def on_gpu(self) -> bool:
        """Whether the instances run on GPUs."""
        return bool(self.gpus)


def place_instances(config: ModelConfig, gpu_count: int) -> Placement:
    """Place a model's instances on a machine with `gpu_count` CUDA devices.

    Raises:
        ConfigError: A GPU is named that is not here or for the CPU, both are, or no instance is.
    """
    groups = read_instance_groups(config)
    kinds = {group.kind for group in groups}
    instances = sum(group.count for group in groups)
    if any(group.gpus for group in groups if group.kind == _CPU):
        raise config.refusal(
            f"instance group of {config.name} has kind {_CPU} but specifies one or more GPUs"
        )
    if not gpu_count or kinds == {_CPU}:
        return Placement(instances, lacks_gpu=_GPU in kinds, is_forced_to_cpu=kinds == {_CPU})
    if _CPU in kinds:
        raise config.refusal(
            f"instance_group has {' and '.join(sorted(kinds))}; expected all instances of the "
            "model on GPUs, or all on the CPU"
        )
    devices: list[int] = []
    for group in groups:
        for gpu in group.gpus or range(gpu_count):
            if not 0 <= gpu < gpu_count:
                raise config.refusal(
                    f"instance group of {config.name} specifies invalid or unsupported gpu id "
                    f"{gpu}; expected 0 to {gpu_count - 1}"
                )
            devices += [gpu] * group.count
    return Placement(instances, tuple(devices))
