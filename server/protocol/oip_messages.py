"""gRPC infer messages <-> tensors. Outputs are always raw, as Triton sends them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contract.model_config import ModelConfig
from server.errors import RequestError
from server.input_check import check_asked, check_count
from server.json_numbers import Numbers
from server.protocol import oip_pb2 as oip
from server.protocol.long_contents import LongContents
from server.protocol.parameters import Parameters, classes_of, schedule_of
from server.protocol.slots import REGION, SlotReader, whole_slot_of
from server.protocol.wire import prefix, split_raw
from server.shared_memory import SharedMemory, Slot
from server.tensors import (
    BYTES,
    InferRequest,
    RequestedOutput,
    Tensor,
    bytes_tensor,
    datatype_of,
    raw_pieces,
    tensor_from_json,
    tensor_from_raw,
)

_FINAL: Final = "triton_final_response"
"""Parameter of each answer in a stream: it is the last of its request, as all are here."""

_RAW_OUTPUT: Final = 6 << 3 | 2
"""The tag of raw_output_contents in oip.proto."""

_INFER_RESPONSE: Final = 2 << 3 | 2
"""The tag of infer_response in a ModelStreamInferResponse."""

_CONTENTS_OF_DATATYPE: Final = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


@dataclass(frozen=True, slots=True)
class ReceivedInfer:
    """An infer request as it came.

    Attributes:
        message: It, without raw_input_contents, and where it is large without `contents`.
        raw: The former.
        contents: The latter, by the index of their input.
        size: Its bytes on the wire; protobuf tells it by writing the message, which takes a while.
    """

    message: oip.ModelInferRequest
    raw: Sequence[memoryview]
    contents: Mapping[int, LongContents]
    size: int

    @property
    def id(self) -> str:
        """What its client calls it."""
        return self.message.id

    @classmethod
    def of(cls, wire: bytes) -> "ReceivedInfer":
        """The request of these bytes.

        Raises:
            DecodeError: They are none.
            TooMany: They are too many fields.
        """
        split = split_raw(wire)
        contents = {i: LongContents(wire, spans) for i, spans in split.contents.items()}
        return cls(oip.ModelInferRequest.FromString(split.rest), split.raw, contents, len(wire))


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """A request, and the shared memory that outputs of it go to, by name."""

    request: InferRequest
    slots: Mapping[str, Slot]


def parse_infer_request(
    received: ReceivedInfer, config: ModelConfig, memory: SharedMemory
) -> ParsedMessage:
    """Take apart an infer request for the model of that configuration.

    Raises:
        RequestError: It is not of the protocol's form.
        RegionNotFound: It names shared memory that is not registered.
    """
    message = received.message
    check_asked(len(message.outputs))
    check_count([entry.name for entry in message.inputs], config, message.id)
    priority, timeout_us = schedule_of(parameters_of(message.parameters))
    asked = {entry.name: parameters_of(entry.parameters) for entry in message.outputs}
    request = InferRequest(
        id=message.id,
        inputs=_parse_inputs(received, SlotReader(memory, config, message.id)),
        outputs=tuple(
            RequestedOutput(name, classes_of(parameters)) for name, parameters in asked.items()
        ),
        priority=priority,
        timeout_us=timeout_us,
    )
    slots = {name: whole_slot_of(name, parameters, memory) for name, parameters in asked.items()}
    return ParsedMessage(request, {name: slot for name, slot in slots.items() if slot})


def names_slot(received: ReceivedInfer, config: ModelConfig) -> bool:
    """Whether an input lies in shared memory; of more inputs than the model has, none is read."""
    inputs = received.message.inputs[: len(config.inputs)]
    return any(REGION in entry.parameters for entry in inputs)


def infer_response(
    name: str,
    number: int,
    parsed: ParsedMessage,
    outputs: Mapping[str, NDArray[np.generic]],
    *,
    streamed: bool = False,
) -> bytes:
    """A ModelInferResponse on the wire, because protobuf would copy its outputs twice.

    Args:
        name: The model.
        number: Its version.
        parsed: The request.
        outputs: Its outputs, sent as raw contents; empty for those in shared memory.
        streamed: Whether it is the last answer to a request of a stream, within the message of that.

    Raises:
        RequestError: An output is larger than its shared memory.
    """
    raw: list[bytes] = []
    for output, array in outputs.items():
        content = raw_pieces(array)
        if output in parsed.slots:
            parsed.slots[output].write(output, b"".join(content))
            content = []
        raw += [prefix(_RAW_OUTPUT, sum(map(len, content))), *content]
    head = oip.ModelInferResponse(
        model_name=name,
        model_version=str(number),
        id=parsed.request.id,
        outputs=[
            oip.ModelInferResponse.InferOutputTensor(
                name=output, datatype=datatype_of(array), shape=array.shape
            )
            for output, array in outputs.items()
        ],
    )
    if streamed:
        head.parameters[_FINAL].bool_param = True
    pieces = [head.SerializeToString(), *raw]
    if streamed:
        pieces = [prefix(_INFER_RESPONSE, sum(map(len, pieces))), *pieces]
    return b"".join(pieces)


def parameters_of(entries: Mapping[str, Any]) -> Parameters:
    """The parameters of a message as plain values; None for one of no type."""
    chosen = {name: value.WhichOneof("parameter_choice") for name, value in entries.items()}
    return {
        name: getattr(entries[name], choice) if choice else None for name, choice in chosen.items()
    }


def _parse_inputs(received: ReceivedInfer, reader: SlotReader) -> tuple[Tensor, ...]:
    message, raw = received.message, received.raw
    taken = 0
    inputs = []
    for index, entry in enumerate(message.inputs):
        slot = _input_slot(message, entry, reader.memory) if entry.parameters else None
        if slot is not None:
            inputs.append(reader.tensor(entry.name, entry.datatype, entry.shape, slot))
        elif entry.HasField("contents"):
            if raw:
                raise RequestError(
                    "contents field must not be specified when using raw_input_contents for "
                    f"'{entry.name}' for model '{message.model_name}'"
                )
            inputs.append(_from_contents(message, entry, received.contents.get(index)))
        elif taken < len(raw):
            inputs.append(_from_bytes(message, entry, raw[taken]))
            taken += 1
        else:
            raise RequestError(
                f"unable to find data for input tensor '{entry.name}' for model "
                f"'{message.model_name}' in request."
            )
    if taken != len(raw):
        raise RequestError(
            f"expected {taken} raw_input_contents for model '{message.model_name}', got {len(raw)}"
        )
    return tuple(inputs)


def _input_slot(
    message: oip.ModelInferRequest,
    entry: oip.ModelInferRequest.InferInputTensor,
    memory: SharedMemory,
) -> Slot | None:
    """The shared memory that an input lies in, if its parameters name any."""
    parameters = parameters_of(entry.parameters)
    if REGION in parameters and entry.HasField("contents"):
        raise RequestError(
            "unexpected 'content' provided when using shared memory for input tensor "
            f"'{entry.name}' for model '{message.model_name}'"
        )
    return whole_slot_of(entry.name, parameters, memory)


def _from_bytes(
    message: oip.ModelInferRequest, entry: oip.ModelInferRequest.InferInputTensor, raw: memoryview
) -> Tensor:
    return tensor_from_raw(entry.name, entry.datatype, entry.shape, raw, message.model_name)


def _from_contents(
    message: oip.ModelInferRequest,
    entry: oip.ModelInferRequest.InferInputTensor,
    long: LongContents | None,
) -> Tensor:
    field = _CONTENTS_OF_DATATYPE.get(entry.datatype)
    if field is None:
        raise RequestError(
            f"input '{entry.name}': {entry.datatype[:20]} must be sent as raw_input_contents"
        )

    def values_of_field() -> Iterator[Any]:
        used = ((one.name, values) for one, values in entry.contents.ListFields())
        for name, values in long.pieces() if long else used:
            if name != field:
                raise RequestError(
                    f"unexpected explicit tensor data for input tensor '{entry.name}' for model "
                    f"'{message.model_name}' in {name}, expected datatype '{entry.datatype}' in "
                    f"{field}"
                )
            yield values

    if entry.datatype == BYTES:
        elements = [element for values in values_of_field() for element in values]
        return bytes_tensor(entry.name, entry.shape, elements, message.model_name)
    return tensor_from_json(entry.name, entry.datatype, entry.shape, Numbers(values_of_field()))
