"""V2's shared memory extensions, over REST and gRPC.

CUDA's has no regions here: asking for a list gives an empty one and unregistering succeeds, as in
a Triton without a GPU, because Triton's own examples for system shared memory begin with that.

Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_shared_memory.md
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.errors import RegionNotFound, RequestError, Unsupported
from server.protocol import oip_pb2 as oip
from server.protocol.http import json_response
from server.protocol.parameters import unsigned
from server.protocol.rpc import unary
from server.protocol.v2 import V2, Handler

_NO_CUDA: Final = (
    "failed to register CUDA shared memory region: '{name}': this server does not share memory of "
    "a GPU; send the tensor, or register system shared memory"
)


class SharedMemoryRegions:
    """The regions that clients registered."""

    def __init__(self, v2: V2) -> None:
        self._memory = v2.shared_memory
        self._bodies = v2.bodies

    def routes(self) -> Sequence[Route]:
        """The REST routes, for all regions and for one."""
        return [
            Route(f"/v2/{kind}{region}/{action}", handler, methods=[method])
            for kind, actions in (
                ("systemsharedmemory", (self._status, self._register, self._unregister)),
                ("cudasharedmemory", (self._no_status, self._no_register, self._no_unregister)),
            )
            for region in ("", "/region/{region}")
            for action, method, handler in zip(
                ("status", "register", "unregister"), ("GET", "POST", "POST"), actions, strict=True
            )
        ]

    def rpcs(self) -> Mapping[str, Handler]:
        """The gRPC methods."""
        return {
            "SystemSharedMemoryStatus": unary(
                self.status, oip.SystemSharedMemoryStatusRequest.FromString
            ),
            "SystemSharedMemoryRegister": unary(
                self.register, oip.SystemSharedMemoryRegisterRequest.FromString
            ),
            "SystemSharedMemoryUnregister": unary(
                self.unregister, oip.SystemSharedMemoryUnregisterRequest.FromString
            ),
            "CudaSharedMemoryStatus": unary(
                self.cuda_status, oip.CudaSharedMemoryStatusRequest.FromString
            ),
            "CudaSharedMemoryRegister": unary(
                self.cuda_register, oip.CudaSharedMemoryRegisterRequest.FromString
            ),
            "CudaSharedMemoryUnregister": unary(
                self.cuda_unregister, oip.CudaSharedMemoryUnregisterRequest.FromString
            ),
        }

    async def _status(self, request: Request) -> Response:
        return json_response(self._memory.status(_region(request)))

    async def _register(self, request: Request) -> Response:
        name = _region(request)
        if not name:
            raise RequestError("'region name' is necessary to register system shared memory region")
        asked = await self._bodies.json_object(request)
        for key in ("key", "byte_size"):
            if key not in asked:
                raise RequestError(f"Shared memory register request has no '{key}' field")
        if not isinstance(asked["key"], str):
            raise RequestError("Unable to parse 'key': expected a string")
        self._memory.register(
            name, asked["key"], unsigned(asked, "offset"), unsigned(asked, "byte_size")
        )
        return Response()

    async def _unregister(self, request: Request) -> Response:
        self._memory.unregister(_region(request))
        return Response()

    async def _no_status(self, request: Request) -> Response:
        _refuse_cuda(_region(request))
        return json_response([])

    async def _no_register(self, request: Request) -> Response:
        raise Unsupported(_NO_CUDA.format(name=_region(request)))

    async def _no_unregister(self, _request: Request) -> Response:
        return Response()

    async def status(
        self, request: oip.SystemSharedMemoryStatusRequest
    ) -> oip.SystemSharedMemoryStatusResponse:
        """The regions, or one of them."""
        rows: Any = self._memory.status(request.name)
        status = oip.SystemSharedMemoryStatusResponse.RegionStatus
        return oip.SystemSharedMemoryStatusResponse(
            regions={row["name"]: status(**row) for row in rows}
        )

    async def register(
        self, request: oip.SystemSharedMemoryRegisterRequest
    ) -> oip.SystemSharedMemoryRegisterResponse:
        """Register a region."""
        self._memory.register(request.name, request.key, request.offset, request.byte_size)
        return oip.SystemSharedMemoryRegisterResponse()

    async def unregister(
        self, request: oip.SystemSharedMemoryUnregisterRequest
    ) -> oip.SystemSharedMemoryUnregisterResponse:
        """Unregister a region, or all."""
        self._memory.unregister(request.name)
        return oip.SystemSharedMemoryUnregisterResponse()

    async def cuda_status(
        self, request: oip.CudaSharedMemoryStatusRequest
    ) -> oip.CudaSharedMemoryStatusResponse:
        """No regions."""
        _refuse_cuda(request.name)
        return oip.CudaSharedMemoryStatusResponse()

    async def cuda_register(
        self, request: oip.CudaSharedMemoryRegisterRequest
    ) -> oip.CudaSharedMemoryRegisterResponse:
        """Refuse."""
        raise Unsupported(_NO_CUDA.format(name=request.name))

    async def cuda_unregister(
        self, _request: oip.CudaSharedMemoryUnregisterRequest
    ) -> oip.CudaSharedMemoryUnregisterResponse:
        """Nothing to unregister."""
        return oip.CudaSharedMemoryUnregisterResponse()


def _region(request: Request) -> str:
    return str(request.path_params.get("region", ""))


def _refuse_cuda(name: str) -> None:
    if name:
        raise RegionNotFound(name, "cuda ")
