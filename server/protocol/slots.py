"""Tensors of V2 requests that lie in shared memory, over REST and gRPC alike.

Source: Triton's extension shared memory.
"""

from collections.abc import Sequence
from typing import Final

from server.errors import RequestError
from server.protocol.parameters import Parameters, unsigned
from server.shared_memory import SharedMemory, Slot
from server.tensors import Tensor, check_raw, tensor_from_raw

REGION: Final = "shared_memory_region"
_OFFSET: Final = "shared_memory_offset"
_BYTE_SIZE: Final = "shared_memory_byte_size"


def slot_of(parameters: Parameters, memory: SharedMemory) -> Slot | None:
    """The bytes of shared memory that an input or an output names, if it names any.

    Raises:
        RegionNotFound: There is no such region.
        RequestError: The region does not hold those bytes.
    """
    if REGION not in parameters:
        return None
    name = parameters[REGION]
    if not isinstance(name, str):
        raise RequestError(f"Unable to parse '{REGION}': got {str(name)[:40]!r}")
    return memory.slot(name, unsigned(parameters, _OFFSET), unsigned(parameters, _BYTE_SIZE))


def whole_slot_of(tensor: str, parameters: Parameters, memory: SharedMemory) -> Slot | None:
    """As `slot_of`, of parameters that must be complete, which Triton asks over gRPC alone.

    Raises:
        RegionNotFound: There is no such region.
        RequestError: The region does not hold those bytes; a parameter lacks another.
    """
    region = REGION in parameters
    for name in (_OFFSET, _BYTE_SIZE):
        if name in parameters and not region:
            raise RequestError(
                f"'{name}' can not be specified without '{REGION}' parameter for tensor '{tensor}'"
            )
    if region and _BYTE_SIZE not in parameters:
        raise RequestError(
            f"'{_BYTE_SIZE}' must be specified along with '{REGION}' parameter for tensor '{tensor}'"
        )
    return slot_of(parameters, memory)


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
