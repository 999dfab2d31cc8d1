"""Number format and memory format of the training, chosen by what the machine has.

bf16 with channels_last is 3.5 times as fast as fp32 on a CPU with AMX (ResNet-50 at 224, batch
16: 72 against 255 ms a picture), and the natural format of a GPU since compute capability 8.0.
Weights, optimizer state and everything that is exported stay fp32.
"""

from dataclasses import dataclass
from typing import Final, Literal

import torch

from contract.hardware import available_cpus
from trainer.errors import HardwareError
from trainer.hyperparameters import Hyperparameters, Precision
from trainer.pixel_size import sides, size_text

_BF16_CAPABILITY: Final = (8, 0)
# oneDNN leaves most of the bf16 weight gradient of a 3x3 convolution with stride 2 on a 1x1 map
# uninitialised (torch 2.13, CPU with AMX), and a ResNet has one at inputs of up to 16 pixels.
_CPU_BF16_MIN_INPUT_SIZE: Final = 17
_MAX_WORKERS: Final = 8


@dataclass(frozen=True, slots=True)
class Hardware:
    """How this machine trains.

    Attributes:
        device: The kind of device.
        precision: Number format of the training's arithmetic.
        channels_last: Whether pictures lie in memory as [N, H, W, C].
        dataloader_workers: Processes that read pictures.
    """

    device: Literal["cpu", "cuda"]
    precision: Literal["fp32", "bf16", "fp16"]
    channels_last: bool
    dataloader_workers: int


def choose_hardware(wanted: Hyperparameters) -> Hardware:
    """Choose formats for this machine, where `wanted` leaves the choice.

    Raises:
        HardwareError: A precision was asked for that this machine cannot train in.
    """
    device: Literal["cpu", "cuda"] = "cuda" if torch.cuda.is_available() else "cpu"
    usable = _usable_precisions(device, min(sides(wanted.size)))
    fast_bf16 = _gpu_has_bf16() if device == "cuda" else _cpu_has_amx()
    best: Precision = "bf16" if fast_bf16 and "bf16" in usable else "fp32"
    precision = best if wanted.precision == "auto" else wanted.precision
    if precision not in usable:
        raise HardwareError(precision, f"{device} at input_size {size_text(wanted.size)}", usable)
    channels_last = wanted.memory_format == "channels_last" or (
        wanted.memory_format == "auto" and precision != "fp32"
    )
    workers = wanted.dataloader_num_workers
    if workers is None:
        workers = 0 if device == "cpu" else min(_MAX_WORKERS, available_cpus())
    return Hardware(device, precision, channels_last, workers)


def make_deterministic() -> None:
    """Ask torch for algorithms that give the same result again.

    An operation that has none only warns: a training that cannot be repeated to the bit is
    better than none.
    """
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.backends.cudnn.benchmark = False


def _usable_precisions(
    device: Literal["cpu", "cuda"], shortest_side: int
) -> tuple[Literal["fp32", "bf16", "fp16"], ...]:
    if device == "cuda":
        return ("fp32", "bf16", "fp16")
    return ("fp32", "bf16") if shortest_side >= _CPU_BF16_MIN_INPUT_SIZE else ("fp32",)


def _gpu_has_bf16() -> bool:
    return torch.cuda.get_device_capability() >= _BF16_CAPABILITY


def _cpu_has_amx() -> bool:
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
