"""Pinned host memory, which a GPU reads without the help of the CPU.

onnxruntime hands out none in Python unless CUDA is a plug-in library of it, so this asks the CUDA
driver, in the context that onnxruntime uses too.

Source: https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEM.html
"""

import ctypes
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contract.errors import ProviderError

_PORTABLE: Final = 1
"""CU_MEMHOSTALLOC_PORTABLE: pinned for every context, not only for the present one."""


class PinnedMemory:
    """Pinned memory beside a CUDA device.

    Args:
        device: The device's number.
    """

    def __init__(self, device: int) -> None:
        self._device = device

    def allocate(self, size: int) -> NDArray[np.uint8]:
        """A buffer[size] of bytes, which is given back when no array refers to it.

        Raises:
            ProviderError: The driver has none.
        """
        driver, pointer = _driver(), ctypes.c_void_p()
        with _context(driver, self._device):
            _check(
                driver.cuMemHostAlloc(
                    ctypes.byref(pointer), ctypes.c_size_t(max(1, size)), _PORTABLE
                ),
                "cuMemHostAlloc",
            )
        buffer = (ctypes.c_uint8 * size).from_address(pointer.value or 0)
        weakref.finalize(buffer, _free, driver, self._device, pointer)
        return np.ctypeslib.as_array(buffer)


def _free(driver: Any, device: int, pointer: ctypes.c_void_p) -> None:
    with _context(driver, device):
        _check(driver.cuMemFreeHost(pointer), "cuMemFreeHost")


@cache
def _driver() -> Any:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as err:
        raise ProviderError(f"no pinned memory without the CUDA driver: {err}") from err
    _check(driver.cuInit(0), "cuInit")
    return driver


@cache
def _primary_context(device: int) -> ctypes.c_void_p:
    context = ctypes.c_void_p()
    _check(
        _driver().cuDevicePrimaryCtxRetain(ctypes.byref(context), device),
        "cuDevicePrimaryCtxRetain",
    )
    return context


@contextmanager
def _context(driver: Any, device: int) -> Iterator[None]:
    """Make the device's context the thread's own meanwhile."""
    _check(driver.cuCtxPushCurrent_v2(_primary_context(device)), "cuCtxPushCurrent")
    try:
        yield
    finally:
        _check(driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p())), "cuCtxPopCurrent")


def _check(status: int, call: str) -> None:
    if status:
        raise ProviderError(f"the CUDA driver's {call} answered error {status}")
