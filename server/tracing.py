"""OpenTelemetry traces of inference requests: a span of each request, under it one of each stage.

The request's span is made by the official instrumentation of ASGI and gRPC, which takes over the
client's `traceparent`; the stages are noted after they have ended, from the times that the
statistics take anyway. Triton's trace settings say which requests are traced.

Imported only where traces are asked for, as the SDK is.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.grpc import aio_server_interceptor
from opentelemetry.instrumentation.grpc.filters import any_of, method_name
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from server.counted_exporter import CountedExporter
from server.durations import Interval
from server.otlp import Exporter
from server.record import StageTrace
from server.trace_settings import TraceSettings

logger = logging.getLogger(__name__)

MODEL: Final = "triton.model_name"
VERSION: Final = "triton.model_version"
REQUEST_ID: Final = "triton.request_id"
"""Attributes of a request's span, as Triton names them."""

_LEFT_OUT: Final = "aperture.left_out"
_UNNAMED: Final = "unknown_service"
_ROUTE: Final = "http.route"

_LAST_EXPORT_S: Final = (1.0, 3.0)
"""How long the last spans may take, at least and at most, of what time is left."""


class Tracing:
    """Traces of the whole server.

    Args:
        exporter: How spans are exported; where to, the SDK reads in the environment.
        settings: Which requests are traced.
        server_name: The service's name, if the environment names none.
    """

    def __init__(self, exporter: Exporter, settings: TraceSettings, server_name: str) -> None:
        resource = Resource.create()
        if str(resource.attributes.get(SERVICE_NAME, "")).startswith(_UNNAMED):
            resource = resource.merge(Resource({SERVICE_NAME: server_name}))
        self._settings = settings
        self._provider = TracerProvider(resource=resource)
        self._exporter = CountedExporter(_make_exporter(exporter))
        self._ended = _Wanted(self._exporter)
        self._provider.add_span_processor(self._ended)
        self._tracer = self._provider.get_tracer("aperture")

    def asgi(self, app: ASGIApp, routes: Sequence[Route]) -> ASGIApp:
        """The application with a span for each request of these routes of it."""
        return _TracedRoutes(app, routes, self._provider)

    def interceptor(self) -> "grpc.aio.ServerInterceptor":
        """What makes a span of each inference call of a gRPC server."""
        wanted = any_of(method_name("ModelInfer"), method_name("ModelStreamInfer"))
        made: grpc.aio.ServerInterceptor = aio_server_interceptor(self._provider, wanted)
        return made

    def begin(self, model: str, number: int, request_id: str) -> StageTrace | None:
        """Where the stages of the request that is answered now are noted; None if nowhere."""
        span = trace.get_current_span()
        if not span.is_recording():
            return None
        if not self._settings.sample(model):
            span.set_attribute(_LEFT_OUT, True)
            return None
        span.set_attribute(MODEL, model)
        span.set_attribute(VERSION, str(number))
        if request_id:
            span.set_attribute(REQUEST_ID, request_id)
        return Stages(self._tracer)

    def stop(self, left_s: float) -> None:
        """Export the last spans, and say how many were not exported since the start; blocks.

        A receiver that cannot be reached is tried for 30 s by the SDK, which has no other limit.

        Args:
            left_s: What is left of the time in which the server is to end.
        """
        least_s, most_s = _LAST_EXPORT_S
        last = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(min(max(left_s, least_s), most_s))
        self._exporter.shutdown()
        count = self._ended.count
        if lost := count - self._exporter.exported:
            logger.warning("spans were not exported lost=%d of=%d", lost, count)


class Stages:
    """The stages of one request, under the span that is current.

    Args:
        tracer: Makes the spans.
    """

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer
        self._epoch_ns = time.time_ns() - time.perf_counter_ns()

    def add(self, stage: str, taken: Interval) -> None:
        """Note a stage that has ended."""
        span = self._tracer.start_span(stage, start_time=self._epoch_ns + taken.start_ns)
        span.end(self._epoch_ns + taken.end_ns)


class _Wanted(BatchSpanProcessor):
    """Exports all sampled spans but those of requests that Triton's settings leave out.

    Attributes:
        count: How many it was given to export; all end in the event loop's thread.
    """

    count = 0

    def on_end(self, span: ReadableSpan) -> None:
        attributes = span.attributes or {}
        if _LEFT_OUT in attributes and MODEL not in attributes:  # a stream may have both
            return
        if span.context is not None and span.context.trace_flags.sampled:
            self.count += 1
        super().on_end(span)


class _TracedRoutes:
    """ASGI middleware: the official one for requests of some routes, nothing for others."""

    def __init__(self, app: ASGIApp, routes: Sequence[Route], provider: TracerProvider) -> None:
        self._app = app
        self._routes = routes
        self._traced: ASGIApp = OpenTelemetryMiddleware(
            app,
            tracer_provider=provider,
            default_span_details=_span_details,
            exclude_spans=["receive", "send"],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (path := self._path(scope)) is None:
            await self._app(scope, receive, send)
        else:
            scope[_ROUTE] = path
            await self._traced(scope, receive, send)

    def _path(self, scope: Scope) -> str | None:
        """The path of the route of a request, without names in it; None if it is not traced."""
        if scope["type"] != "http":
            return None
        matched = (route.path for route in self._routes if route.matches(scope)[0] is Match.FULL)
        return next(matched, None)


def _span_details(scope: Scope) -> tuple[str, dict[str, Any]]:
    return f"{scope['method']} {scope[_ROUTE]}", {_ROUTE: scope[_ROUTE]}


def _make_exporter(exporter: Exporter) -> SpanExporter:
    makers: dict[Exporter, Callable[[], SpanExporter]] = {
        "http/protobuf": _http_exporter,
        "grpc": _grpc_exporter,
        "console": ConsoleSpanExporter,
    }
    return makers[exporter]()


def _http_exporter() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415  # one of two
        OTLPSpanExporter,
    )

    return OTLPSpanExporter()


def _grpc_exporter() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415  # one of two
        OTLPSpanExporter,
    )

    return OTLPSpanExporter()
