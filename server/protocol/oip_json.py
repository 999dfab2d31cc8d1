"""REST infer bodies <-> tensors: JSON, binary data behind it, or binary data alone.

The header Inference-Header-Content-Length tells the length of the JSON, and 0 that there is
none: the body is then the model's one input. Which of these a body is, is decided by that header
alone, because tritonclient sends no Content-Type.

Source: https://github.com/kserve/open-inference-protocol and Triton's extensions
binary_tensor_data, classification and shared memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

from contract.model_config import Json
from server.decoder import Base64Text, PictureFile
from server.errors import RequestError
from server.input_check import check_asked, check_count
from server.json_text import parse_json_with_arrays
from server.long_arrays import LongArray
from server.long_strings import LongString
from server.media_types import JSON
from server.protocol.http import response_of
from server.protocol.long_json import flat_json, json_pieces
from server.protocol.parameters import Parameters, classes_of, flag, schedule_of, unsigned
from server.protocol.raw_body import Target, only_input
from server.protocol.slots import REGION, SlotReader, slot_of
from server.shared_memory import Slot
from server.tensors import (
    BYTES,
    InferRequest,
    RequestedOutput,
    Tensor,
    bytes_tensor,
    describe_tensor,
    raw_pieces,
    tensor_from_json,
    tensor_from_raw,
    to_json,
    to_raw,
)

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
_MOST_DIGITS: Final = 18
_PLACES: Final = ("binary_data_size", "shared_memory_region")


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """A request and how its answer is to be written.

    Attributes:
        request: What is to be inferred.
        binary: Whether an output is sent as binary data, by name.
        binary_default: The same for outputs that the request does not name.
        slots: The shared memory that outputs go to, by name.
    """

    request: InferRequest
    binary: Mapping[str, bool] = field(default_factory=dict)
    binary_default: bool = False
    slots: Mapping[str, Slot] = field(default_factory=dict)


def parse_infer_request(body: bytes, header_length: str | None, target: Target) -> ParsedBody:
    """Take apart an infer request; `header_length` is the header's value or None.

    Raises:
        RequestError: It is not of the protocol's form.
        RegionNotFound: It names shared memory that is not registered.
    """
    head, binary = _split_body(body, header_length)
    if header_length is not None and not len(head):
        inputs: tuple[Tensor, ...] = (only_input(body, target),)
        return ParsedBody(InferRequest("", inputs), binary_default=True)
    payload = parse_json_with_arrays(head, target.max_depth)
    if not isinstance(payload, dict) or not isinstance(payload.get("inputs"), list):
        raise RequestError(
            "Unable to parse 'inputs': expected a JSON object with the list \"inputs\""
        )
    parameters = _parameters(payload)
    priority, timeout_us = schedule_of(parameters)
    request_id = payload.get("id", "")
    if not isinstance(request_id, str):
        raise RequestError("Unable to parse 'id': expected a string")
    asked = _parse_outputs(payload.get("outputs", []))
    outputs = tuple(RequestedOutput(name, classes_of(entry)) for name, entry in asked.items())
    slots = {name: slot_of(entry, target.memory) for name, entry in asked.items()}
    check_count(_names(payload["inputs"]), target.config, request_id)
    reader = SlotReader(target.memory, target.config, request_id)
    inputs = _parse_inputs(payload["inputs"], binary, target, reader)
    return ParsedBody(
        request=InferRequest(
            id=request_id,
            inputs=inputs,
            outputs=outputs,
            priority=priority,
            timeout_us=timeout_us,
        ),
        binary={
            name: flag(entry, "binary_data")
            for name, entry in asked.items()
            if "binary_data" in entry
        },
        binary_default=flag(parameters, "binary_data_output"),
        slots={name: slot for name, slot in slots.items() if slot},
    )


def infer_response(
    head: Mapping[str, Json], outputs: Mapping[str, NDArray[np.generic]], parsed: ParsedBody
) -> Response:
    """Write the outputs, each as JSON, as binary data behind it, or into shared memory.

    Raises:
        RequestError: JSON cannot hold an output, or its shared memory is too small.
    """
    described: list[dict[str, object]] = []
    chunks: list[bytes] = []
    for name, array in outputs.items():
        entry: dict[str, object] = {**describe_tensor(name, array)}
        if name in parsed.slots:
            parsed.slots[name].write(name, to_raw(array))
        elif parsed.binary.get(name, parsed.binary_default):
            raw = raw_pieces(array)
            chunks += raw
            entry["parameters"] = {"binary_data_size": sum(map(len, raw))}
        else:
            entry["data"] = flat_json(to_json(name, array))
        described.append(entry)
    pieces = json_pieces({**head, "outputs": described})
    headers = {"content-type": JSON}
    if chunks:
        length = str(sum(map(len, pieces)))
        headers = {"content-type": "application/octet-stream", HEADER_LENGTH.lower(): length}
    return response_of([*pieces, *chunks], HTTPStatus.OK, headers)


def may_name_slot(body: bytes) -> bool:
    """Whether the JSON of a body may name shared memory, as it stands or with escapes."""
    return REGION.encode() in body or b"\\u" in body


def _split_body(body: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    """The JSON part and the binary part."""
    view = memoryview(body)
    if header_length is None:
        return body, view[len(view) :]
    digits = header_length.isdecimal() and len(header_length) <= _MOST_DIGITS
    if not digits or int(header_length) > len(view):
        raise RequestError(
            f"inference header size should be in range (0, {len(view)}), got: {header_length[:40]}"
        )
    return body[: int(header_length)], view[int(header_length) :]


def _names(entries: Sequence[object]) -> list[str]:
    return [str(entry.get("name", "")) for entry in entries if isinstance(entry, dict)]


def _parse_inputs(
    entries: Sequence[object], binary: memoryview, target: Target, reader: SlotReader
) -> tuple[Tensor, ...]:
    inputs = []
    for entry in entries:
        tensor, used = _parse_input(entry, binary, target, reader)
        inputs.append(tensor)
        binary = binary[used:]
    if len(binary):
        raise RequestError(f"unexpected additional input data for model '{target.config.name}'")
    return tuple(inputs)


def _parse_input(
    entry: object, binary: memoryview, target: Target, reader: SlotReader
) -> tuple[Tensor, int]:
    """One input, and how many bytes of the binary part are its own."""
    if not isinstance(entry, dict):
        raise RequestError('each of "inputs" must be an object')
    name, datatype, shape = (entry.get(key) for key in ("name", "datatype", "shape"))
    if not (isinstance(name, str) and isinstance(datatype, str) and isinstance(shape, list)):
        raise RequestError('each of "inputs" needs "name", "datatype" and "shape"')
    parameters = _own_parameters(entry)
    place = _place_of_data(entry, parameters)
    if place == "binary_data_size":
        size = unsigned(parameters, place)
        if size > len(binary):
            raise RequestError(
                f"unexpected size for input '{name}', expecting {size - len(binary)} additional "
                f"bytes for model '{target.config.name}'"
            )
        return tensor_from_raw(name, datatype, shape, binary[:size], target.config.name), size
    if slot := slot_of(parameters, target.memory):
        return reader.tensor(name, datatype, shape, slot), 0
    data = entry["data"]
    if not isinstance(data, list | LongArray):
        raise RequestError("Unable to parse 'data': attempt to access JSON non-array as array")
    if datatype == BYTES:
        elements = _elements(name, data, pictures=target.pictures)
        return bytes_tensor(name, shape, elements, target.config.name), 0
    return tensor_from_json(name, datatype, shape, data), 0


def _place_of_data(entry: Mapping[str, object], parameters: Parameters) -> str:
    """Where the data of an input are: exactly one of three places."""
    places = ["data"] if "data" in entry else []
    places += [place for place in _PLACES if place in parameters]
    if len(places) != 1:
        found = "set " + " ".join(f"'{place}'" for place in places) if places else "no field is set"
        raise RequestError(
            "Input must set only one of the following fields: 'data', 'binary_data_size' in "
            f"'parameters', 'shared_memory_region' in 'parameters'. But {found}"
        )
    return places[0]


def _parse_outputs(entries: object) -> dict[str, Parameters]:
    """The parameters of each output that is asked for, by name."""
    if not isinstance(entries, list):
        raise RequestError("Unable to parse 'outputs': expected a list")
    check_asked(len(entries))
    asked: dict[str, Parameters] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise RequestError('"outputs" must be a list of objects with a "name"')
        parameters = asked[entry["name"]] = _own_parameters(entry)
        if "shared_memory_region" in parameters and flag(parameters, "binary_data"):
            raise RequestError("Output can't set both 'shared_memory_region' and 'binary_data'")
    return asked


def _elements(name: str, data: object, *, pictures: bool) -> list[PictureFile]:
    """The elements of a BYTES tensor in JSON, flat or nested: strings, or base64 text."""
    elements: list[PictureFile] = []
    pending = [data]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(reversed(item))
        elif not isinstance(item, str | LongString):
            expected = "a picture file as base64 text" if pictures else "a string"
            raise RequestError(
                f"Unable to parse JSON bytes array: element {len(elements)} of input '{name}' must "
                f"be {expected}"
            )
        else:
            encoded = item.encoded if isinstance(item, LongString) else item.encode
            elements.append(Base64Text(item) if pictures else encoded())
    return elements


def _own_parameters(entry: Mapping[str, object]) -> Parameters:
    """The parameters of an input or an output; as with Triton, null is none."""
    return {} if entry.get("parameters", {}) is None else _parameters(entry)


def _parameters(entry: Mapping[str, object]) -> Parameters:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        raise RequestError('"parameters" must be an object')
    return parameters
