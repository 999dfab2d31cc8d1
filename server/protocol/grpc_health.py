"""grpc.health.v1.Health: of the server, of its inference service, and of each model by its name.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2

from server.protocol.rpc import end, read_or_abort, serialize
from server.protocol.v2 import V2, Handler

HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_WATCH_S: Final = 1.0  # how long a change may take to reach who watches


class Health:
    """Answers from the readiness of the repository.

    Args:
        v2: The models, and when the server ends.
        service: The inference service, which is as ready as the server.
    """

    def __init__(self, v2: V2, service: str) -> None:
        self._v2 = v2
        self._service = service

    def rpcs(self) -> dict[str, Handler]:
        """The gRPC methods."""
        return {
            "Check": grpc.unary_unary_rpc_method_handler(
                self._check, response_serializer=serialize
            ),
            "Watch": grpc.unary_stream_rpc_method_handler(
                self._watch, response_serializer=serialize
            ),
        }

    async def _check(self, wire: bytes, context: Any) -> Any:
        """SERVING or NOT_SERVING; NOT_FOUND for a service that is none."""
        request = await self._read("Check", wire, context)
        status = self._status(request.service)
        if status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
            await end(
                context,
                "Check",
                grpc.StatusCode.NOT_FOUND,
                f"service {request.service[:80]!r} is unknown; expected the empty name, "
                f"{self._service} or the name of a model",
            )
        return health_pb2.HealthCheckResponse(status=status)

    async def _watch(self, wire: bytes, context: Any) -> AsyncIterator[Any]:
        """The status now and after each change, until the server ends."""
        request = await self._read("Watch", wire, context)
        last = None
        while True:
            status = self._status(request.service)
            if status != last:
                yield health_pb2.HealthCheckResponse(status=status)
                last = status
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._v2.stopping.wait(), _WATCH_S)
                return

    async def _read(self, rpc: str, wire: bytes, context: Any) -> Any:
        return await read_or_abort(rpc, health_pb2.HealthCheckRequest.FromString, wire, context)

    def _status(self, service: str) -> int:
        """One of HealthCheckResponse.ServingStatus."""
        repository = self._v2.repository
        statuses = health_pb2.HealthCheckResponse
        if service in ("", self._service):
            ready = repository.ready
        else:
            model = next((one for one in repository.served() if one.name == service), None)
            if model is None:
                return int(statuses.SERVICE_UNKNOWN)
            ready = model.serving and not repository.draining
        return int(statuses.SERVING if ready else statuses.NOT_SERVING)
