"""V2 inference: a REST body, a gRPC message, or a stream of messages -> outputs."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import grpc
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contract.model_config import Json
from server.protocol import oip_json, oip_messages
from server.protocol import oip_pb2 as oip
from server.protocol.error_answers import name_request
from server.protocol.http import encoded_response, model_routes
from server.protocol.raw_body import Target
from server.protocol.rpc import describe, serialize, unary
from server.protocol.stream import in_order
from server.protocol.v2 import V2, Handler
from server.version import Version

logger = logging.getLogger(__name__)

_LARGE: Final = 256 * 1024  # so many numbers take a while, so they are read in a thread
_FINAL: Final = "triton_final_response"
"""Parameter of each answer in a stream: it is the last of its request, as all are here."""

_END_ON_ERROR: Final = "triton_grpc_error"
"""Metadata by which a client asks that an error end the stream with its own gRPC status."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Infer:
    """Runs models on tensors."""

    def __init__(self, v2: V2) -> None:
        self._v2 = v2

    def routes(self) -> Sequence[Route]:
        """The REST routes."""
        return model_routes("/infer", self._infer, "POST")

    def rpcs(self) -> Mapping[str, Handler]:
        """The gRPC methods."""
        return {
            "ModelInfer": unary(self.model_infer, oip.ModelInferRequest),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(
                self.stream_infer,
                request_deserializer=oip.ModelInferRequest.FromString,
                response_serializer=serialize,
            ),
        }

    async def _infer(self, request: Request) -> Response:
        """Run a model on the request's tensors."""
        model = self._v2.repository.find(request.path_params["name"])
        number = request.path_params.get("version", "")
        model.version(number)  # an unknown version is refused before its body is read
        async with self._v2.bodies.received(request) as body:
            with model.use(number) as version:
                parsed = await self._parse(request, body, version)
                name_request(request, parsed.request.id)
                logger.debug(
                    "infer model=%s version=%d id=%s", model.name, version.number, parsed.request.id
                )
                outputs = await version.infer(model.decoder, parsed.request)
            head: dict[str, Json] = {"id": parsed.request.id} if parsed.request.id else {}
            head |= {"model_name": model.name, "model_version": str(version.number)}
            write = partial(oip_json.infer_response, head, outputs, parsed)
            large = sum(array.nbytes for array in outputs.values()) > _LARGE
            response = await asyncio.to_thread(write) if large else write()
            return await encoded_response(response, request.headers.get("accept-encoding"))

    async def _parse(self, request: Request, body: bytes, version: Version) -> oip_json.ParsedBody:
        bodies, memory = self._v2.bodies, self._v2.shared_memory
        target = Target(version.config, version.task is not None, memory, bodies.max_depth)
        header = request.headers.get(oip_json.HEADER_LENGTH)
        return await bodies.parse(body, partial(oip_json.parse_infer_request, body, header, target))

    async def model_infer(self, request: oip.ModelInferRequest) -> oip.ModelInferResponse:
        """Run a model on the request's tensors."""
        model = self._v2.repository.find(request.model_name)
        with model.use(request.model_version) as version:
            if request.ByteSize() > _LARGE and not request.raw_input_contents:
                parsed = await asyncio.to_thread(
                    oip_messages.parse_infer_request, request, self._v2.shared_memory
                )
            else:
                parsed = oip_messages.parse_infer_request(request, self._v2.shared_memory)
            logger.debug("infer model=%s version=%d id=%s", model.name, version.number, request.id)
            outputs = await version.infer(model.decoder, parsed.request)
            return oip_messages.infer_response(model.name, version.number, parsed, outputs)

    async def stream_infer(
        self, requests: AsyncIterator[oip.ModelInferRequest], context: Context
    ) -> AsyncIterator[oip.ModelStreamInferResponse]:
        """Answer each message of a stream, errors too, in order; the stream goes on after an error.

        A stopping server reads no more, answers what it has read, and ends with UNAVAILABLE.
        """
        end_on_error = (_END_ON_ERROR, "true") in map(tuple, context.invocation_metadata() or ())
        stopping = self._v2.stopping
        async with contextlib.aclosing(in_order(requests, self._streamed, stopping)) as answers:
            async for code, answer in answers:
                if end_on_error and code is not None:
                    await context.abort(code, answer.error_message)
                yield answer
        if stopping.is_set():
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is stopping")

    async def _streamed(
        self, request: oip.ModelInferRequest
    ) -> tuple[grpc.StatusCode | None, oip.ModelStreamInferResponse]:
        """The answer to a message of a stream, and the status if it is an error."""
        try:
            response = await self.model_infer(request)
        except Exception as err:  # whatever it is, it is this message's answer
            code, text = describe("ModelStreamInfer", err, request.id)
            failed = oip.ModelInferResponse(id=request.id)
            return code, oip.ModelStreamInferResponse(error_message=text, infer_response=failed)
        response.parameters[_FINAL].bool_param = True
        return None, oip.ModelStreamInferResponse(infer_response=response)
