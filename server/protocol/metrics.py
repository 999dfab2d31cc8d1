"""`GET /metrics`: beside the other REST routes, or on a port of its own, as Triton has it."""

import contextlib
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.listening import every_address
from server.metrics import CONTENT_TYPE, Metrics
from server.protocol.guarded_http import GuardedHttp
from server.protocol.packed_answers import PackedAnswers


class MetricsPage:
    """The route of the metrics.

    Args:
        metrics: The metrics.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def routes(self) -> Sequence[Route]:
        """The one route."""
        return [Route("/metrics", self._text, methods=["GET"])]

    async def _text(self, _request: Request) -> Response:
        """All metrics as of now."""
        return Response(self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})


class MetricsServer:
    """Serves the metrics alone.

    Args:
        page: Their route.
        port: Where to listen.
        http: The protocol of its connections.
    """

    def __init__(self, page: MetricsPage, port: int, http: type[GuardedHttp]) -> None:
        app = Starlette(routes=list(page.routes()), middleware=[Middleware(PackedAnswers)])
        config = uvicorn.Config(
            app,
            host=every_address(),
            port=port,
            http=http,
            ws="none",
            log_config=None,
            access_log=False,
        )
        self._server = _SignalFreeServer(config)

    async def serve(self) -> None:
        """Serve until `stop`."""
        await self._server.serve()

    def stop(self) -> None:
        """End; scrapes under way are answered."""
        self._server.should_exit = True


class _SignalFreeServer(uvicorn.Server):
    """Leaves signals to the whole server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
