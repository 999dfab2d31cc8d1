"""A receiver of OTLP over HTTP, which keeps the spans that a live server sends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Received:
    """The spans that came, and the name of the service that sent them.

    Attributes:
        url: Where they are received.
        spans: The spans.
        services: The names.
    """

    url: str = ""
    spans: list[Any] = field(default_factory=list)
    services: set[str] = field(default_factory=set)

    def of(self, trace_id: str) -> list[Any]:
        """The spans of a trace."""
        return [span for span in self.spans if span.trace_id.hex() == trace_id]


@contextmanager
def trace_receiver() -> Iterator[Received]:
    """A receiver on a free port."""
    got = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = {a.key: a.value.string_value for a in group.resource.attributes}
                got.services.add(names["service.name"])
                got.spans += [span for scope in group.scope_spans for span in scope.spans]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        got.url = f"http://127.0.0.1:{receiver.server_port}"
        yield got
        receiver.shutdown()


def attributes(span: Any) -> dict[str, str]:
    """The attributes of a span that are text."""
    return {one.key: one.value.string_value for one in span.attributes}
