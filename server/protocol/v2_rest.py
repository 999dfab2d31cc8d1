"""KServe V2, also Triton's protocol, over REST.

Tensors come as JSON or as binary data behind the JSON, of a length that the header
Inference-Header-Content-Length tells; which of both is decided by that header alone, because
tritonclient sends no Content-Type. In JSON a BYTES element is base64 text of a picture file.

Source: https://github.com/kserve/open-inference-protocol and Triton's extensions
binary_tensor_data, model_configuration and model_repository.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contract.model_config import Json
from server.decoder import Base64Text, Source
from server.errors import RequestError
from server.protocol.http import json_response, parse_json, read_body
from server.protocol.v2 import model_metadata, server_metadata
from server.repository import Repository
from server.tensors import (
    BYTES,
    InferRequest,
    RequestedOutput,
    Tensor,
    bytes_tensor,
    describe_tensor,
    tensor_from_json,
    tensor_from_raw,
    to_json,
    to_raw,
)

_HEADER_LENGTH = "Inference-Header-Content-Length"
_MOST_DIGITS = 18
_LARGE_BODY = 256 * 1024


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request and how its answer is to be written.

    Attributes:
        request: What is to be inferred.
        binary: Whether an output is sent as binary data, by name.
        binary_default: The same for outputs that the request does not name.
    """

    request: InferRequest
    binary: Mapping[str, bool]
    binary_default: bool


class V2Rest:
    """The V2 routes over a repository.

    Args:
        repository: The models.
        max_body_bytes: Largest body of a request.
    """

    def __init__(self, repository: Repository, max_body_bytes: int) -> None:
        self._repository = repository
        self._max_body_bytes = max_body_bytes

    def routes(self) -> Sequence[Route]:
        """The routes, most used first; each model route also with a version."""
        return [
            *_model_routes("/infer", self.infer, "POST"),
            Route("/v2/health/live", self.live, methods=["GET"]),
            Route("/v2/health/ready", self.ready, methods=["GET"]),
            *_model_routes("/ready", self.model_ready, "GET"),
            *_model_routes("", self.model, "GET"),
            *_model_routes("/config", self.config, "GET"),
            Route("/v2", self.server, methods=["GET"]),
            Route("/v2/models", self.models, methods=["GET"]),
            Route("/v2/repository/index", self.index, methods=["POST"]),
        ]

    async def infer(self, request: Request) -> Response:
        """Run a model on the request's tensors."""
        model = self._repository.find(request.path_params["name"])
        version = model.version(request.path_params.get("version", ""))
        body = await read_body(request, self._max_body_bytes)
        header = request.headers.get(_HEADER_LENGTH)
        if len(body) > _LARGE_BODY:  # its numbers take a while
            parsed = await asyncio.to_thread(parse_infer_request, body, header)
        else:
            parsed = parse_infer_request(body, header)
        outputs = await version.infer(model.decoder, parsed.request)
        head: dict[str, Json] = {"model_name": model.name, "model_version": str(version.number)}
        if parsed.request.id:
            head["id"] = parsed.request.id
        return infer_response(head, outputs, parsed)

    async def live(self, _request: Request) -> Response:
        """200 while the process answers at all."""
        return json_response({"live": True})

    async def ready(self, _request: Request) -> Response:
        """200 when every model can answer, else 503."""
        return _readiness({"ready": self._repository.ready}, ready=self._repository.ready)

    async def model_ready(self, request: Request) -> Response:
        """200 when the model, or the version, can answer, else 503."""
        model = self._repository.find(request.path_params["name"])
        version = model.version(request.path_params.get("version", ""))
        return _readiness({"name": model.name, "ready": version.alive}, ready=version.alive)

    async def server(self, _request: Request) -> Response:
        """The server's metadata."""
        return json_response(server_metadata())

    async def models(self, _request: Request) -> Response:
        """The names of the models."""
        return json_response({"models": [model.name for model in self._repository.served()]})

    async def model(self, request: Request) -> Response:
        """A model's metadata."""
        model = self._repository.find(request.path_params["name"])
        return json_response(model_metadata(model, request.path_params.get("version", "")))

    async def config(self, request: Request) -> Response:
        """A model's configuration, with the execution provider that was chosen and why."""
        model = self._repository.find(request.path_params["name"])
        version = model.version(request.path_params.get("version", ""))
        return json_response(version.config.to_json())

    async def index(self, request: Request) -> Response:
        """Every model of the repository with its state, and the reason if it is not served."""
        body = await read_body(request, self._max_body_bytes)
        options = parse_json(body) if body else {}
        if not isinstance(options, dict) or not isinstance(options.get("ready", False), bool):
            raise RequestError('expected {"ready": true|false} or no body')
        rows = self._repository.index(only_ready=options.get("ready", False))
        return json_response([asdict(row) for row in rows])


def parse_infer_request(body: bytes, header_length: str | None) -> ParsedRequest:
    """Take apart an infer request; `header_length` is the header's value or None.

    Raises:
        RequestError: It is not of the protocol's form.
    """
    head, binary = _split_body(body, header_length)
    payload = parse_json(head)
    if not isinstance(payload, dict) or not isinstance(payload.get("inputs"), list):
        raise RequestError('expected a JSON object with the list "inputs"')
    inputs = []
    for entry in payload["inputs"]:
        tensor, used = _parse_input(entry, binary)
        inputs.append(tensor)
        binary = binary[used:]
    if len(binary):
        raise RequestError(f"{len(binary)} bytes of binary data belong to no input")
    asked = payload.get("outputs", [])
    if not isinstance(asked, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in asked
    ):
        raise RequestError('"outputs" must be a list of objects with a "name"')
    request_id = payload.get("id", "")
    return ParsedRequest(
        request=InferRequest(
            id=str(request_id),
            inputs=tuple(inputs),
            outputs=tuple(_requested_output(entry) for entry in asked),
        ),
        binary={
            entry["name"]: _parameters(entry)["binary_data"] is True
            for entry in asked
            if "binary_data" in _parameters(entry)
        },
        binary_default=_parameters(payload).get("binary_data_output") is True,
    )


def infer_response(
    head: Mapping[str, Json], outputs: Mapping[str, NDArray[np.generic]], parsed: ParsedRequest
) -> Response:
    """Write the outputs, each as JSON or as binary data behind it."""
    described: list[dict[str, object]] = []
    chunks: list[bytes] = []
    for name, array in outputs.items():
        entry: dict[str, object] = {**describe_tensor(name, array)}
        if parsed.binary.get(name, parsed.binary_default):
            chunks.append(to_raw(array))
            entry["parameters"] = {"binary_data_size": len(chunks[-1])}
        else:
            entry["data"] = to_json(array)
        described.append(entry)
    response = json_response({**head, "outputs": described})
    if not chunks:
        return response
    length = str(len(response.body))
    body = b"".join([bytes(response.body), *chunks])
    return Response(body, headers={_HEADER_LENGTH: length}, media_type="application/octet-stream")


def _model_routes(suffix: str, handler: object, method: str) -> list[Route]:
    return [
        Route(f"/v2/models/{{name}}{middle}{suffix}", handler, methods=[method])  # type: ignore[arg-type]
        for middle in ("", "/versions/{version}")
    ]


def _readiness(content: dict[str, Json], *, ready: bool) -> Response:
    return json_response(content, HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)


def _split_body(body: bytes, header_length: str | None) -> tuple[memoryview, memoryview]:
    """The JSON part and the binary part."""
    view = memoryview(body)
    if header_length is None:
        return view, view[len(view) :]
    digits = header_length.isdecimal() and len(header_length) <= _MOST_DIGITS
    if not digits or int(header_length) > len(view):
        raise RequestError(
            f"{_HEADER_LENGTH} is {header_length[:40]!r}; expected 0 to {len(view)}, the body's length"
        )
    return view[: int(header_length)], view[int(header_length) :]


def _parse_input(entry: object, binary: memoryview) -> tuple[Tensor, int]:
    """One input, and how many bytes of the binary part are its own."""
    if not isinstance(entry, dict):
        raise RequestError('each of "inputs" must be an object')
    name, datatype, shape = (entry.get(key) for key in ("name", "datatype", "shape"))
    if not (isinstance(name, str) and isinstance(datatype, str) and isinstance(shape, list)):
        raise RequestError('each of "inputs" needs "name", "datatype" and "shape"')
    size = _parameters(entry).get("binary_data_size")
    if size is not None:
        if not isinstance(size, int) or not 0 <= size <= len(binary):
            raise RequestError(
                f"input '{name}': binary_data_size is {size!r}; {len(binary)} bytes are left"
            )
        return tensor_from_raw(name, datatype, shape, binary[:size]), size
    if "data" not in entry:
        raise RequestError(f'input \'{name}\': neither "data" nor "binary_data_size" is given')
    if datatype == BYTES:
        return bytes_tensor(name, shape, _base64_elements(name, entry["data"])), 0
    return tensor_from_json(name, datatype, shape, entry["data"]), 0


def _requested_output(entry: Mapping[str, object]) -> RequestedOutput:
    classes = _parameters(entry).get("classification", 0)
    if not isinstance(classes, int):
        raise RequestError(
            f"output '{entry['name']}': classification is {classes!r}; expected a number"
        )
    return RequestedOutput(str(entry["name"]), classes)


def _base64_elements(name: str, data: object) -> list[Source]:
    """The elements of a BYTES tensor in JSON, flat or nested: base64 text."""
    elements: list[Source] = []
    pending = [data]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(reversed(item))
            continue
        if not isinstance(item, str):
            raise RequestError(
                f"input '{name}': in JSON, BYTES element {len(elements)} must be a picture file "
                "as base64 text"
            )
        elements.append(Base64Text(item))
    return elements


def _parameters(entry: Mapping[str, object]) -> Mapping[str, object]:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        raise RequestError('"parameters" must be an object')
    return parameters
