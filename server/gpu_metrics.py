"""Triton's metrics of NVIDIA GPUs, where NVML answers.

NVML's Python binding comes with the extra `serve-gpu`; without it, or without a driver, there are
no such metrics.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, Final

from server.exposition import Family, Sample

logger = logging.getLogger(__name__)

Read = Callable[[Any, Any], float]
"""Asks NVML for a number of a device."""

_GAUGES: Final[Sequence[tuple[str, str, Read]]] = (
    (
        "nv_gpu_utilization",
        "GPU utilization rate [0.0 - 1.0)",
        lambda nvml, device: nvml.nvmlDeviceGetUtilizationRates(device).gpu / 100,
    ),
    (
        "nv_gpu_memory_total_bytes",
        "GPU total memory, in bytes",
        lambda nvml, device: nvml.nvmlDeviceGetMemoryInfo(device).total,
    ),
    (
        "nv_gpu_memory_used_bytes",
        "GPU used memory, in bytes",
        lambda nvml, device: nvml.nvmlDeviceGetMemoryInfo(device).used,
    ),
    (
        "nv_gpu_power_usage",
        "GPU power usage in watts",
        lambda nvml, device: nvml.nvmlDeviceGetPowerUsage(device) / 1000,
    ),
    (
        "nv_gpu_power_limit",
        "GPU power management limit in watts",
        lambda nvml, device: nvml.nvmlDeviceGetPowerManagementLimit(device) / 1000,
    ),
)


def _joules(nvml: Any, device: Any) -> float:
    return float(nvml.nvmlDeviceGetTotalEnergyConsumption(device)) / 1000


class GpuMetrics:
    """The metrics of all GPUs of this machine; none where there are none.

    Args:
        nvml: NVML's binding; by default the installed one.
    """

    def __init__(self, nvml: Any = None) -> None:
        self._nvml: Any = nvml or _binding()
        self._devices = _devices(self._nvml) if self._nvml else {}
        self._start_joules = dict(self._read(_joules))

    def families(self) -> Iterator[Family]:
        """What the devices answer now; what a device does not tell is left out."""
        for name, text, read in _GAUGES:
            samples = [_sample(uuid, value) for uuid, value in self._read(read)]
            yield Family(name, "gauge", text, samples)
        used = [
            _sample(uuid, joules - self._start_joules.get(uuid, 0))
            for uuid, joules in self._read(_joules)
        ]
        text = "GPU energy consumption in joules since the Triton Server started"
        yield Family("nv_energy_consumption", "counter", text, used)

    def _read(self, read: Read) -> Iterator[tuple[str, float]]:
        for uuid, device in self._devices.items():
            with contextlib.suppress(self._nvml.NVMLError):  # this GPU does not tell
                yield uuid, read(self._nvml, device)


def _sample(uuid: str, value: float) -> Sample:
    return Sample("", {"gpu_uuid": uuid}, value)


def _binding() -> ModuleType | None:
    try:
        import pynvml  # noqa: PLC0415  # of the extra serve-gpu
    except ImportError:
        return None
    module: ModuleType = pynvml
    return module


def _devices(nvml: Any) -> dict[str, Any]:
    """NVML's handle of each GPU by its UUID."""
    try:
        nvml.nvmlInit()
        count = nvml.nvmlDeviceGetCount()
        devices = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(count)]
        return {nvml.nvmlDeviceGetUUID(device): device for device in devices}
    except nvml.NVMLError as err:
        logger.info("no metrics of GPUs: NVML says %s", err)
        return {}
