"""Tensors of V2 requests that lie in shared memory, over REST and gRPC alike.

Source: Triton's extension shared memory.
"""

from collections.abc import Sequence

from server.errors import RequestError
from server.protocol.parameters import Parameters, unsigned
from server.shared_memory import SharedMemory, Slot
from server.tensors import Tensor, check_raw, tensor_from_raw


def slot_of(parameters: Parameters, memory: SharedMemory) -> Slot | None:
    """The bytes of shared memory that an input or an output names, if it names any.

    Raises:
        RegionNotFound: There is no such region.
        RequestError: The region does not hold those bytes.
    """
    if "shared_memory_region" not in parameters:
        return None
    name = parameters["shared_memory_region"]
    if not isinstance(name, str):
        raise RequestError(f"Unable to parse 'shared_memory_region': got {str(name)[:40]!r}")
    offset = unsigned(parameters, "shared_memory_offset")
    return memory.slot(name, offset, unsigned(parameters, "shared_memory_byte_size"))


def tensor_from_slot(
    name: str, datatype: str, shape: Sequence[int], slot: Slot, model: str
) -> Tensor:
    """A tensor from the binary tensor data in shared memory, which are read if they may be its own.

    It blocks for as long as the copy takes.

    Raises:
        RequestError: Unknown datatype, or the bytes do not fill the shape, or are not there.
    """
    check_raw(name, datatype, shape, slot.byte_size, model)
    return tensor_from_raw(name, datatype, shape, slot.read(), model)
