"""KServe V2, also Triton's protocol, over gRPC: `inference.GRPCInferenceService`.

The messages are our own (oip.proto), registered as generic handlers, because KServe's package and
tritonclient's cannot share a process. Outputs are always raw, as Triton sends them.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import grpc
import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from server.errors import RequestError, ServerError
from server.protocol import oip_pb2 as oip
from server.protocol.v2 import model_metadata, server_metadata
from server.repository import Repository
from server.tensors import (
    BYTES,
    InferRequest,
    RequestedOutput,
    Tensor,
    bytes_tensor,
    datatype_of,
    tensor_from_json,
    tensor_from_raw,
    to_raw,
)

logger = logging.getLogger(__name__)

SERVICE: Final = "inference.GRPCInferenceService"

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
}
_HEADERS_AND_TENSORS = 1024 * 1024  # beside the pictures, what a message of the largest body holds

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class V2Grpc:
    """The gRPC server over a repository.

    Args:
        repository: The models.
        port: Where it listens.
        max_message_bytes: Largest message either way.
    """

    def __init__(self, repository: Repository, port: int, max_message_bytes: int) -> None:
        self._repository = repository
        self._port = port
        self._max_message_bytes = max_message_bytes + _HEADERS_AND_TENSORS
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The port is taken.
        """
        limit = self._max_message_bytes
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", limit),
                ("grpc.so_reuseport", 0),  # a taken port is an error, not a shared port
            ]
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, self._handlers()),)
        )
        try:
            server.add_insecure_port(f"[::]:{self._port}")
        except RuntimeError as err:
            raise OSError(f"cannot listen on gRPC port {self._port}: {err}") from err
        await server.start()
        self._server = server

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls, give those under way `grace_s` seconds, and end."""
        if self._server is not None:
            await self._server.stop(grace_s)

    async def server_live(self, _request: oip.ServerLiveRequest) -> oip.ServerLiveResponse:
        """True while the process answers at all."""
        return oip.ServerLiveResponse(live=True)

    async def server_ready(self, _request: oip.ServerReadyRequest) -> oip.ServerReadyResponse:
        """True when every model can answer."""
        return oip.ServerReadyResponse(ready=self._repository.ready)

    async def model_ready(self, request: oip.ModelReadyRequest) -> oip.ModelReadyResponse:
        """True when the model, or the version, can answer."""
        model = self._repository.find(request.name)
        ready = model.serving and model.version(request.version).alive
        return oip.ModelReadyResponse(ready=ready)

    async def server_metadata(
        self, _request: oip.ServerMetadataRequest
    ) -> oip.ServerMetadataResponse:
        """The server's name, version and extensions."""
        metadata: Any = server_metadata()
        return oip.ServerMetadataResponse(**metadata)

    async def model_metadata(self, request: oip.ModelMetadataRequest) -> oip.ModelMetadataResponse:
        """A model's versions, inputs and outputs."""
        metadata: Any = model_metadata(self._repository.find(request.name), request.version)
        return oip.ModelMetadataResponse(**metadata)

    async def model_config(self, request: oip.ModelConfigRequest) -> oip.ModelConfigResponse:
        """A model's configuration in Triton's schema."""
        version = self._repository.find(request.name).version(request.version)
        return oip.ModelConfigResponse(config=version.config.message.SerializeToString())

    async def repository_index(
        self, request: oip.RepositoryIndexRequest
    ) -> oip.RepositoryIndexResponse:
        """Every model with its state, and the reason if it is not served."""
        rows = self._repository.index(only_ready=request.ready)
        return oip.RepositoryIndexResponse(
            models=[
                oip.RepositoryIndexResponse.ModelIndex(
                    name=row.name, version=row.version, state=row.state, reason=row.reason
                )
                for row in rows
            ]
        )

    async def model_infer(self, request: oip.ModelInferRequest) -> oip.ModelInferResponse:
        """Run a model on the request's tensors."""
        model = self._repository.find(request.model_name)
        version = model.version(request.model_version)
        outputs = await version.infer(model.decoder, parse_infer_request(request))
        return infer_response(model.name, str(version.number), request.id, outputs)

    def _handlers(self) -> dict[str, Handler]:
        return {
            "ServerLive": _unary(self.server_live, oip.ServerLiveRequest),
            "ServerReady": _unary(self.server_ready, oip.ServerReadyRequest),
            "ModelReady": _unary(self.model_ready, oip.ModelReadyRequest),
            "ServerMetadata": _unary(self.server_metadata, oip.ServerMetadataRequest),
            "ModelMetadata": _unary(self.model_metadata, oip.ModelMetadataRequest),
            "ModelConfig": _unary(self.model_config, oip.ModelConfigRequest),
            "RepositoryIndex": _unary(self.repository_index, oip.RepositoryIndexRequest),
            "ModelInfer": _unary(self.model_infer, oip.ModelInferRequest),
        }


def parse_infer_request(request: oip.ModelInferRequest) -> InferRequest:
    """Take apart an infer request.

    Raises:
        RequestError: It is not of the protocol's form.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise RequestError(
            f"{len(raw)} raw_input_contents for {len(request.inputs)} inputs; expected one each"
        )
    return InferRequest(
        id=request.id,
        inputs=tuple(
            tensor_from_raw(entry.name, entry.datatype, entry.shape, memoryview(raw[i]))
            if raw
            else _tensor_from_contents(entry)
            for i, entry in enumerate(request.inputs)
        ),
        outputs=tuple(
            RequestedOutput(entry.name, entry.parameters["classification"].int64_param)
            if "classification" in entry.parameters
            else RequestedOutput(entry.name)
            for entry in request.outputs
        ),
    )


def infer_response(
    name: str, number: str, request_id: str, outputs: dict[str, NDArray[np.generic]]
) -> oip.ModelInferResponse:
    """Write the outputs as raw contents."""
    return oip.ModelInferResponse(
        model_name=name,
        model_version=number,
        id=request_id,
        outputs=[
            oip.ModelInferResponse.InferOutputTensor(
                name=output, datatype=datatype_of(array), shape=array.shape
            )
            for output, array in outputs.items()
        ],
        raw_output_contents=[to_raw(array) for array in outputs.values()],
    )


def _tensor_from_contents(entry: oip.ModelInferRequest.InferInputTensor) -> Tensor:
    if entry.datatype == BYTES:
        return bytes_tensor(entry.name, entry.shape, entry.contents.bytes_contents)
    field = _CONTENTS_OF_DATATYPE.get(entry.datatype)
    if field is None:
        raise RequestError(
            f"input '{entry.name}': {entry.datatype} must be sent as raw_input_contents"
        )
    values: Sequence[float] = getattr(entry.contents, field)
    return tensor_from_json(entry.name, entry.datatype, entry.shape, list(values))


def _unary(
    method: Callable[[RequestT], Awaitable[ResponseT]], request_type: type[RequestT]
) -> Handler:
    """A handler that answers errors with their status: ours in words, any other as internal."""

    async def answer(
        request: RequestT, context: grpc.aio.ServicerContext[RequestT, ResponseT]
    ) -> ResponseT:
        try:
            return await method(request)
        except ServerError as err:
            logger.info("refused rpc=%s error=%s", method.__name__, err)
            await context.abort(err.grpc_code, str(err))
        except Exception as err:
            logger.exception("internal error rpc=%s", method.__name__)
            await context.abort(grpc.StatusCode.INTERNAL, "internal error; see the server's log")
            raise AssertionError("abort raises") from err
        raise AssertionError("abort raises")

    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=request_type.FromString,
        response_serializer=_serialize,
    )


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
