"""Tensors of V2 requests that lie in shared memory, over REST and gRPC alike.

Source: Triton's extension shared memory.
"""

from collections.abc import Sequence
from typing import Final

from contract.model_config import ModelConfig
from server.errors import RequestError, TooMany
from server.input_check import check_unread
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


class SlotReader:
    """Reads the inputs of one request that lie in shared memory.

    A short request may name many bytes there, so they are read only if they may be the model's.

    Args:
        memory: Where they lie.
        config: The configuration of the version that is to answer.
        request_id: What its client calls the request.
    """

    def __init__(self, memory: SharedMemory, config: ModelConfig, request_id: str) -> None:
        self.memory = memory
        self._config = config
        self._request_id = request_id
        self._bytes = 0

    def tensor(self, name: str, datatype: str, shape: Sequence[int], slot: Slot) -> Tensor:
        """The input of that name; it blocks for as long as the copy takes.

        Raises:
            RequestError: It is none of the model's, or the bytes do not fill it or are not there.
            TooMany: The inputs that were read have more bytes together than a request may.
        """
        model = self._config.name
        dims = check_raw(name, datatype, shape, slot.byte_size, model)
        pictures = bool(self._config.task)
        check_unread(
            Tensor(name, datatype, dims), self._config, self._request_id, pictures=pictures
        )
        self._bytes += slot.byte_size
        if self._bytes > self.memory.most_bytes:
            what = "bytes of inputs in shared memory (--http_max_input_size)"
            raise TooMany(what, self._bytes, self.memory.most_bytes)
        return tensor_from_raw(name, datatype, shape, slot.read(), model)
