"""Runs of a session on a GPU through io-binding, from inputs in pinned memory.

The GPU reads pinned memory by itself; from other memory the driver first copies into its own pinned
buffer, piece by piece. The price is a copy of the inputs into this one, and memory of the largest
batch that was seen, which no other program can use.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray


class Memory(Protocol):
    """Where inputs are kept."""

    def allocate(self, size: int) -> NDArray[np.uint8]:
        """A buffer[size] of bytes, which is given back when no array refers to it."""


class BoundRun:
    """Runs of one session, one after the other.

    Args:
        memory: Where its inputs are kept.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._buffers: dict[str, NDArray[np.uint8]] = {}

    def __call__(
        self, session: ort.InferenceSession, names: Sequence[str], feeds: Mapping[str, Any]
    ) -> Sequence[NDArray[Any]]:
        """Run `feeds` and return the outputs of those names, in memory of the CPU."""
        binding = session.io_binding()
        for name, array in feeds.items():
            held = self._held(name, array)
            binding.bind_input(name, "cpu", 0, held.dtype.type, list(held.shape), held.ctypes.data)
        for name in names:  # of each run, as an output's shape is that of its batch
            binding.bind_output(name, "cpu")
        session.run_with_iobinding(binding)
        outputs: Sequence[NDArray[Any]] = binding.copy_outputs_to_cpu()
        return outputs

    def _held(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """A copy of the array in the input's buffer."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.nbytes < array.nbytes:
            buffer = self._buffers[name] = self._memory.allocate(array.nbytes)
        held = buffer[: array.nbytes].view(array.dtype).reshape(array.shape)
        np.copyto(held, array)
        return held
