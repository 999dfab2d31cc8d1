"""The whole server: KServe's `ModelServer` around our routes, our gRPC and an orderly end.

Our routes stand before KServe's application, which answers `/` alone; so the hot routes skip
KServe's middleware, which costs more than a small model does.

    start    REST and gRPC listen: live, not ready -> models load and warm up -> ready
    SIGTERM  not ready -> shutdown_delay -> no new requests -> those under way end, for
             grace_period at most -> exit 0
"""

import asyncio
import contextlib
import logging
import signal
import time
from typing import TYPE_CHECKING, Final

import kserve
from kserve.model_server import app as kserve_app
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp

from server.decoder import Decoder
from server.errors import LoadError
from server.listening import every_address
from server.protocol.endpoints import Endpoints
from server.protocol.error_answers import ERROR_HANDLERS, LastAnswers
from server.protocol.grpc_server import GrpcServer
from server.protocol.guarded_http import guarded
from server.protocol.inference_route import inference_routes
from server.protocol.invocations import Invocations
from server.protocol.metrics import MetricsPage, MetricsServer
from server.protocol.openapi import openapi_routes
from server.protocol.packed_answers import PackedAnswers
from server.protocol.surfaces import v2_surfaces
from server.protocol.v1 import V1
from server.protocol.v2 import V2
from server.settings import ServerOptions
from server.watcher import Watcher

if TYPE_CHECKING:
    from server.tracing import Tracing

logger = logging.getLogger(__name__)

_KSERVE_PATHS: Final = ("/",)
_LAST_RUN_S: Final = 1.0
_CLOSE: Final = (b"connection", b"close")


class Server(kserve.ModelServer):
    """Serves a repository until SIGTERM or SIGINT; made by `server.assembly.build_server`.

    Args:
        options: What the user asked for.
        v2: What it answers from.
        decoder: Ends with it.
        metrics: The page of its metrics; None if they are not to be seen.
        tracing: Its traces; None if there are none.
    """

    def __init__(
        self,
        options: ServerOptions,
        v2: V2,
        decoder: Decoder,
        metrics: MetricsPage | None,
        tracing: "Tracing | None",
    ) -> None:
        self._options = options
        self._repository = v2.repository
        self._bodies = v2.bodies
        self._decoder = decoder
        self._tracing = tracing
        self._invocations = Invocations(self._repository, self._bodies, options)
        self._surfaces = v2_surfaces(v2)
        interceptors = [tracing.interceptor()] if tracing else []
        self._grpc = GrpcServer(v2, self._surfaces, options, interceptors)
        self._metrics = metrics
        self._http = guarded(options.http_max_header_size, options.http_read_timeout)
        self._metrics_server = (
            MetricsServer(metrics, options.metrics_port, self._http)
            if metrics and options.metrics_port
            else None
        )
        self._watcher = Watcher(self._repository, options.repository_poll_secs)
        self._start_error: LoadError | None = None
        self._stopping = asyncio.Event()
        self._overdue = False
        self._shutdown_delay = options.shutdown_delay
        super().__init__(
            http_port=options.http_port,
            grpc_port=options.grpc_port,
            workers=1,
            registered_models=self._repository,
            enable_grpc=False,
            grace_period=options.grace_period,
        )

    def serve(self) -> str:
        """Serve until a signal ends it; blocks.

        Returns:
            What a thread is left at that the process must not wait for; empty if none is.

        Raises:
            LoadError: A model cannot be loaded at the start, and --exit_on_error was given.
        """
        self.start([])
        if self._start_error is not None:
            raise self._start_error
        if self._repository.loading:
            return "a model was still being loaded, or looked for; its load is given up"
        return "a run took longer than --grace_period; it is given up" if self._overdue else ""

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
        metrics = asyncio.create_task(self._serve_metrics(), name="metrics")
        await self._grpc.start()
        load = asyncio.create_task(self._load(), name="load")
        stopping = asyncio.create_task(self._stopping.wait(), name="stopping")
        await asyncio.wait({rest, stopping}, return_when=asyncio.FIRST_COMPLETED)
        load.cancel()
        await self._drain(rest)
        if self._metrics_server is not None:
            self._metrics_server.stop()
        await metrics

    async def _load(self) -> None:
        """Load the models of the start; in mode poll, follow the repository from then on."""
        try:
            await self._repository.start()
        except LoadError as err:
            self._end(err)
            return
        except Exception as err:
            logger.exception("the models cannot be loaded")
            self._end(LoadError(f"internal error: {err!r}"))
            return
        if refusal := self._invocations.refusal():
            logger.warning("%s", refusal)
        broken = self._repository.broken()
        if broken and self._options.exit_on_error:
            reasons = "; ".join(f"model '{model.name}': {model.reason}" for model in broken)
            self._end(LoadError(f"{reasons} (--exit_on_error)"))
        elif self._options.model_control_mode == "poll":
            await self._watcher.run()

    def _end(self, err: LoadError) -> None:
        """End at once, because the start failed."""
        self._start_error = err
        self._shutdown_delay = 0
        self._stopping.set()

    async def _serve_metrics(self) -> None:
        """Serve the metrics on their own port, if they have one; the drain can be watched there."""
        if self._metrics_server is not None:
            await self._metrics_server.serve()

    async def _serve_rest(self) -> None:
        """Run KServe's REST server with our routes before its own, without its signal handlers."""
        routes = [
            *(route for surface in self._surfaces for route in surface.routes()),
            *V1(self._repository, self._bodies).routes(),
            *self._invocations.routes(),
            *Endpoints(self._repository, self._invocations).routes(),
            *(self._metrics.routes() if self._metrics and not self._metrics_server else ()),
            *openapi_routes(),
            *(Route(path, kserve_app, methods=["GET"]) for path in _KSERVE_PATHS),
        ]
        app: ASGIApp = Starlette(
            routes=routes,
            middleware=[Middleware(LastAnswers), Middleware(PackedAnswers)],
            exception_handlers=ERROR_HANDLERS,
        )
        if self._tracing is not None:
            app = self._tracing.asgi(app, inference_routes(routes))
        self._rest_server.config.app = app
        self._rest_server.config.http = self._http
        self._rest_server.config.ws = "none"
        self._rest_server.config.host = every_address()
        self._rest_server._server.capture_signals = contextlib.nullcontext
        await self.servers[0]

    def _say_close(self) -> None:
        """End each connection of REST with its next answer, so that no client's next request is lost.

        uvicorn makes the headers of all answers anew each second, of those of its configuration; a
        request under way has those of its own second.
        """
        server = self._rest_server._server
        for headers in (server.server_state.default_headers, server.config.encoded_headers):
            headers.append(_CLOSE)
        for connection in server.server_state.connections:
            cycle = getattr(connection, "cycle", None)
            if cycle is not None:
                cycle.keep_alive = False

    async def _drain(self, rest: "asyncio.Task[None]") -> None:
        self._repository.draining = True
        self._say_close()
        if not rest.done():
            await asyncio.sleep(self._shutdown_delay)
        end = time.monotonic() + self.grace_period
        self._rest_server._server.should_exit = True
        results = await asyncio.gather(
            rest, self._grpc.stop(self.grace_period), return_exceptions=True
        )
        # Of requests that were given up a run may be left, which nothing can break off.
        stopped = asyncio.create_task(self._repository.stop(), name="stop")
        await asyncio.wait({stopped}, timeout=_LAST_RUN_S)
        self._overdue = not stopped.done()
        self._decoder.stop()
        self._bodies.stop()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.stop, end - time.monotonic())
        if stopped.done():
            stopped.result()
        for result in results:
            if isinstance(result, BaseException):
                raise result
        logger.info("stopped")
