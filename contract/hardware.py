"""What this machine has: CPU features, and the CPUs that this process may use."""

import ctypes
import math
import os
from pathlib import Path
from typing import Final

from contract.cgroup import cpu_limit

CPUINFO: Final = Path("/proc/cpuinfo")


def read_cpu_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """The CPU's feature flags as Linux names them (amx_bf16, avx512_bf16); empty elsewhere."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())


def available_cpus() -> int:
    """CPUs that this process may use: its affinity, cut by the container's CPU limit."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cpus, limit = affinity or 1, cpu_limit()
    return cpus if limit is None else max(1, min(cpus, math.ceil(limit)))


def cuda_device_count() -> int:
    """CUDA devices that the driver shows; 0 without a driver.

    Source: https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DEVICE.html
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
