"""The gRPC server: `inference.GRPCInferenceService`, health and reflection.

The messages are our own (oip.proto), registered as generic handlers, because KServe's package and
tritonclient's cannot share a process.
"""

from collections.abc import Sequence
from typing import Final

import grpc

from server.protocol.grpc_health import HEALTH, Health
from server.protocol.grpc_reflection import REFLECTION, Reflection
from server.protocol.v2 import V2, Surface
from server.settings import ServerOptions

SERVICE: Final = "inference.GRPCInferenceService"

_HEADERS_AND_TENSORS: Final = 1024 * 1024  # beside the pictures, in a message of the largest body
_MOST: Final = (1 << 31) - 1  # an int of C; no message of protobuf is longer
_COMPRESSION: Final = {  # what gRPC's core makes of these levels
    "none": grpc.Compression.NoCompression,
    "low": grpc.Compression.Gzip,
    "medium": grpc.Compression.Deflate,
    "high": grpc.Compression.Deflate,
}


class GrpcServer:
    """Listens, and answers from the surfaces of V2.

    Args:
        v2: The models and settings.
        surfaces: What answers.
        options: The port, limits and keepalive times.
        interceptors: What every call passes through.
    """

    def __init__(
        self,
        v2: V2,
        surfaces: Sequence[Surface],
        options: ServerOptions,
        interceptors: Sequence["grpc.aio.ServerInterceptor"] = (),
    ) -> None:
        self._v2 = v2
        self._surfaces = surfaces
        self._options = options
        self._interceptors = interceptors
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The port is taken.
        """
        server = grpc.aio.server(
            interceptors=list(self._interceptors),
            options=channel_options(self._options),
            compression=_COMPRESSION[self._options.grpc_infer_response_compression_level],
        )
        reflection = Reflection(self._v2, (SERVICE, HEALTH, *REFLECTION)).rpcs()
        services = {
            SERVICE: {name: rpc for part in self._surfaces for name, rpc in part.rpcs().items()},
            HEALTH: Health(self._v2, SERVICE).rpcs(),
            **dict.fromkeys(REFLECTION, reflection),
        }
        server.add_generic_rpc_handlers(
            tuple(grpc.method_handlers_generic_handler(*service) for service in services.items())
        )
        port = self._options.grpc_port
        try:
            server.add_insecure_port(f"[::]:{port}")
        except RuntimeError as err:
            raise OSError(f"cannot listen on gRPC port {port}: {err}") from err
        await server.start()
        self._server = server

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls, end streams, give calls under way `grace_s` seconds, and end."""
        self._v2.stopping.set()
        if self._server is not None:
            await self._server.stop(grace_s)


def channel_options(options: ServerOptions) -> list[tuple[str, int]]:
    """The options as gRPC's channel arguments; at the most that it takes, where they are more."""
    limit = options.http_max_input_size + _HEADERS_AND_TENSORS
    recv_ping_interval_ms = options.grpc_http2_min_recv_ping_interval_without_data
    arguments = [
        ("grpc.max_receive_message_length", limit),
        ("grpc.max_send_message_length", -1),  # server/version.py refuses what is too large
        ("grpc.so_reuseport", 0),  # a taken port is an error, not a shared port
        ("grpc.keepalive_time_ms", options.grpc_keepalive_time),
        ("grpc.keepalive_timeout_ms", options.grpc_keepalive_timeout),
        ("grpc.keepalive_permit_without_calls", int(options.grpc_keepalive_permit_without_calls)),
        ("grpc.http2.max_pings_without_data", options.grpc_http2_max_pings_without_data),
        ("grpc.http2.min_ping_interval_without_data_ms", recv_ping_interval_ms),
        ("grpc.http2.max_ping_strikes", options.grpc_http2_max_ping_strikes),
    ]
    return [(name, min(value, _MOST)) for name, value in arguments]
