"""V2 inference: a REST body, a gRPC message, or a stream of messages -> outputs."""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

import grpc
import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contract.model_config import Json
from server.protocol import oip_json, oip_messages
from server.protocol import oip_pb2 as oip
from server.protocol.body import LARGE
from server.protocol.error_answers import name_request
from server.protocol.http import model_routes
from server.protocol.inference_route import InferenceRoute
from server.protocol.raw_body import Target
from server.protocol.rpc import describe, end, serialize, unary, understood
from server.protocol.stream import in_order
from server.protocol.v2 import V2, Handler
from server.version import Version

logger = logging.getLogger(__name__)

_END_ON_ERROR: Final = "triton_grpc_error"
"""Metadata by which a client asks that an error end the stream with its own gRPC status."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

MadeT = TypeVar("MadeT")


class Infer:
    """Runs models on tensors."""

    def __init__(self, v2: V2) -> None:
        self._v2 = v2

    def routes(self) -> Sequence[Route]:
        """The REST routes."""
        return model_routes("/infer", self._infer, "POST", InferenceRoute)

    def rpcs(self) -> Mapping[str, Handler]:
        """The gRPC methods."""
        return {
            "ModelInfer": unary(self.model_infer, oip_messages.ReceivedInfer.of, longest=None),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(
                self.stream_infer, response_serializer=serialize
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
                outputs = await version.infer(parsed.request)
            head: dict[str, Json] = {"id": parsed.request.id} if parsed.request.id else {}
            head |= {"model_name": model.name, "model_version": str(version.number)}
            write = partial(oip_json.infer_response, head, outputs, parsed)
            return await self._written(write, outputs)

    async def _parse(self, request: Request, body: bytes, version: Version) -> oip_json.ParsedBody:
        memory, max_depth = self._v2.shared_memory, self._v2.bodies.max_depth
        target = Target(version.config, version.task is not None, memory, max_depth)
        header = request.headers.get(oip_json.HEADER_LENGTH)
        parse = partial(oip_json.parse_infer_request, body, header, target)
        return await self._apart(len(body), parse, partial(oip_json.may_name_slot, body))

    async def model_infer(self, received: oip_messages.ReceivedInfer) -> bytes:
        """Run a model on the request's tensors; a ModelInferResponse on the wire."""
        return await self._answer(received, streamed=False)

    async def _answer(self, received: oip_messages.ReceivedInfer, *, streamed: bool) -> bytes:
        request, memory = received.message, self._v2.shared_memory
        model = self._v2.repository.find(request.model_name)
        with model.use(request.model_version) as version:
            parse = partial(oip_messages.parse_infer_request, received, version.config, memory)
            names_slot = partial(oip_messages.names_slot, received, version.config)
            parsed = await self._apart(received.size, parse, names_slot)
            logger.debug("infer model=%s version=%d id=%s", model.name, version.number, request.id)
            outputs = await version.infer(parsed.request)
        write = partial(
            oip_messages.infer_response,
            model.name,
            version.number,
            parsed,
            outputs,
            streamed=streamed,
        )
        return await self._written(write, outputs)

    async def _apart(
        self, size: int, parse: Callable[[], MadeT], names_slot: Callable[[], bool]
    ) -> MadeT:
        """What `parse` makes of a request of `size` bytes: in a thread if it may take long.

        A short one may name many bytes in shared memory; it alone is asked, as that takes time, too.
        """
        if size <= LARGE and self._v2.shared_memory.in_use and names_slot():
            return await self._v2.bodies.copy(parse)
        return await self._v2.bodies.parse(size, parse)

    async def _written(
        self, write: Callable[[], MadeT], outputs: Mapping[str, NDArray[np.generic]]
    ) -> MadeT:
        """What `write` makes of the outputs: in a thread where they are many."""
        size = sum(array.nbytes for array in outputs.values())
        return await self._v2.bodies.write(size, write)

    async def stream_infer(
        self, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[oip.ModelStreamInferResponse | bytes]:
        """Answer each message of a stream, errors too, in order; the stream goes on after an error.

        A stopping server reads no more, answers what it has read, and ends with UNAVAILABLE.
        """
        end_on_error = (_END_ON_ERROR, "true") in map(tuple, context.invocation_metadata() or ())
        stopping = self._v2.stopping
        async with contextlib.aclosing(
            in_order(requests, self._streamed, stopping, len)
        ) as answers:
            async for code, answer in answers:
                if end_on_error and code is not None:
                    assert isinstance(answer, oip.ModelStreamInferResponse)  # noqa: S101  # as errors
                    await end(context, "ModelStreamInfer", code, answer.error_message)
                yield answer
        if stopping.is_set():
            text = "the server is stopping"
            await end(context, "ModelStreamInfer", grpc.StatusCode.UNAVAILABLE, text)

    async def _streamed(
        self, wire: bytes
    ) -> tuple[grpc.StatusCode | None, oip.ModelStreamInferResponse | bytes]:
        """The answer to a message of a stream, and the status if it is an error."""
        request_id = ""
        try:
            received = understood(oip_messages.ReceivedInfer.of, wire, longest=None)
            request_id = received.id
            return None, await self._answer(received, streamed=True)
        except Exception as err:  # whatever it is, it is this message's answer
            code, text = describe("ModelStreamInfer", err, request_id)
            failed = oip.ModelInferResponse(id=request_id)
            return code, oip.ModelStreamInferResponse(error_message=text, infer_response=failed)
