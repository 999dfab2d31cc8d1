"""What the server asks of gRPC."""

import asyncio
from pathlib import Path

import grpc

from contract.options import build
from server.protocol.grpc_server import channel_options
from server.settings import ServerOptions


def test_options_of_any_size_are_ones_that_grpc_takes() -> None:
    size, time_ms = 1 << 33, 1 << 40

    async def run() -> None:
        given = {"http_max_input_size": size, "grpc_keepalive_time": time_ms}
        options = build(ServerOptions, {"model_repository": Path("/nowhere"), **given})
        arguments = channel_options(options)
        grpc.aio.server(options=arguments)  # refuses what is no int of C
        assert dict(arguments)["grpc.max_receive_message_length"] == (1 << 31) - 1

    asyncio.run(run())
