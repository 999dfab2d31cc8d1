"""The whole server: KServe's `ModelServer` around our routes, our gRPC and an orderly end.

Our routes stand before KServe's application, which answers `/` and `/metrics`; so the hot routes
skip KServe's middleware, which costs more than a small model does.

    start    REST and gRPC listen: live, not ready -> models load and warm up -> ready
    SIGTERM  not ready -> shutdown_delay -> no new requests -> those under way end -> exit 0
"""

import asyncio
import contextlib
import logging
import signal
from typing import Final

import kserve
from kserve.model_server import app as kserve_app
from starlette.applications import Starlette
from starlette.routing import Route

from server.decoder import Decoder
from server.hardware import available_cpus
from server.protocol.http import ERROR_HANDLERS
from server.protocol.v1 import V1
from server.protocol.v2_grpc import V2Grpc
from server.protocol.v2_rest import V2Rest
from server.repository import Repository, find_models
from server.settings import ServerOptions
from server.version import Engine

logger = logging.getLogger(__name__)

_KSERVE_PATHS: Final = ("/", "/metrics")


class Server(kserve.ModelServer):
    """Serves a repository until SIGTERM or SIGINT.

    Args:
        options: What the user asked for.

    Raises:
        LoadError: The folder to serve does not exist, or is of the other kind.
    """

    def __init__(self, options: ServerOptions) -> None:
        threads = options.threads or available_cpus()
        self._options = options
        self._decoder = Decoder(threads, options.max_pixels)
        self._repository = Repository(
            find_models(options.model_repository, options.model_dir, options.model_name),
            Engine(options.provider, options.precision, threads, options.max_queue_size),
            self._decoder,
        )
        self._grpc = V2Grpc(self._repository, options.grpc_port, options.http_max_input_size)
        self._stopping = asyncio.Event()
        self._shutdown_delay = options.shutdown_delay
        super().__init__(
            http_port=options.http_port,
            grpc_port=options.grpc_port,
            workers=1,
            registered_models=self._repository,
            enable_grpc=False,
            grace_period=options.grace_period,
        )

    def serve(self) -> None:
        """Serve until a signal ends it; blocks."""
        self.start([])

    def setup_event_loop(self) -> None:
        """Leave KServe's setup out: it configures another loop than the one that will run."""

    def register_signal_handler(self) -> None:
        """Leave KServe's handlers out: they stop the models before the requests under way."""

    def stop(self, sig: int) -> None:
        """Begin the orderly end; SIGINT, from a person at a terminal, skips the delay."""
        if sig == signal.SIGINT:
            self._shutdown_delay = 0
        logger.info("stopping signal=%s", signal.Signals(sig).name)
        self._stopping.set()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sig, self.stop, sig)
        rest = asyncio.create_task(self._serve_rest(), name="rest")
        await self._grpc.start()
        load = asyncio.create_task(self._repository.load_all(), name="load")
        stopping = asyncio.create_task(self._stopping.wait(), name="stopping")
        await asyncio.wait({rest, stopping}, return_when=asyncio.FIRST_COMPLETED)
        load.cancel()
        await self._drain(rest)

    async def _serve_rest(self) -> None:
        """Run KServe's REST server with our routes before its own, without its signal handlers."""
        limit = self._options.http_max_input_size
        self._rest_server.config.app = Starlette(
            routes=[
                *V2Rest(self._repository, limit).routes(),
                *V1(self._repository, limit).routes(),
                *(Route(path, kserve_app) for path in _KSERVE_PATHS),
            ],
            exception_handlers=ERROR_HANDLERS,
        )
        self._rest_server._server.capture_signals = contextlib.nullcontext
        await self.servers[0]

    async def _drain(self, rest: "asyncio.Task[None]") -> None:
        self._repository.draining = True
        if not rest.done():
            await asyncio.sleep(self._shutdown_delay)
        self._rest_server._server.should_exit = True
        results = await asyncio.gather(
            rest, self._grpc.stop(self.grace_period), return_exceptions=True
        )
        await self._repository.stop()
        self._decoder.stop()
        for result in results:
            if isinstance(result, BaseException):
                raise result
        logger.info("stopped")
