"""Traces of a live server, as a receiver of OTLP over HTTP gets them."""

import socket
from pathlib import Path
from typing import Any

import grpc
import pytest

from contract.errors import OptionsError
from server.otlp import asked_exporter, to_unset
from server.protocol import oip_pb2 as oip
from server.protocol.operations import OPERATIONS
from tests.e2e.trace_receiver import Received, attributes
from tests.live_server import LiveServer, live_server
from tests.picture_files import as_text, instances, noise_png
from tests.tiny_models import publish_colour_model

STAGES = ["decode", "infer", "queue", "respond"]
PARENT = "00f067aa0ba902b7"
SERVICE = "/inference.GRPCInferenceService/"
NO_INFERENCE = (
    "/endpoints/{endpoint}/invocations-response-stream",
    "/endpoints/{endpoint}/async-invocations",
    "/v2/repository/",
    "/v2/systemsharedmemory/",
    "/v2/cudasharedmemory/",
    "/v2/logging",
    "/v2/trace/setting",
    "/v2/models/{name}/trace/setting",
)
"""Where the paths begin to which something else than a picture to answer is posted."""


def traceparent(number: int) -> tuple[str, str]:
    """A trace's id, and a W3C traceparent of it."""
    trace_id = f"{number:032x}"
    return trace_id, f"00-{trace_id}-{PARENT}-01"


def grpc_request(file: bytes) -> oip.ModelInferRequest:
    image = oip.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
    image.contents.bytes_contents.append(file)
    return oip.ModelInferRequest(model_name="colour", id="g-1", inputs=[image])


def ask_grpc(server: LiveServer, parent: str, file: bytes) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        infer = channel.unary_unary(
            f"{SERVICE}ModelInfer",
            request_serializer=oip.ModelInferRequest.SerializeToString,
            response_deserializer=oip.ModelInferResponse.FromString,
        )
        infer(grpc_request(file), metadata=(("traceparent", parent),))


def ask_stream(server: LiveServer, parent: str, file: bytes) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        infer = channel.stream_stream(
            f"{SERVICE}ModelStreamInfer",
            request_serializer=oip.ModelInferRequest.SerializeToString,
            response_deserializer=oip.ModelStreamInferResponse.FromString,
        )
        requests = iter([grpc_request(file)])
        (answer,) = infer(requests, metadata=(("traceparent", parent),))
        assert not answer.error_message


def check_trace(spans: list[Any], name: str, request_id: str) -> None:
    """A span of the request under the client's, and one of each stage under it, within its time."""
    (request,) = [span for span in spans if span.name == name]
    assert request.parent_span_id.hex() == PARENT
    found = attributes(request)
    assert found["triton.model_name"] == "colour"
    assert found["triton.model_version"] == "1"
    assert found.get("triton.request_id", "") == request_id
    stages = {span.name: span for span in spans if span is not request}
    assert sorted(stages) == STAGES
    assert len(spans) == 5
    ends: list[int] = []
    for stage in ("decode", "queue", "infer", "respond"):
        span = stages[stage]
        assert span.parent_span_id == request.span_id
        assert span.end_time_unix_nano >= span.start_time_unix_nano
        ends += [span.start_time_unix_nano, span.end_time_unix_nano]
    assert ends == sorted(ends)
    slack_ns = 100_000_000  # the stages are told by another clock, read beside this one once
    assert request.start_time_unix_nano - slack_ns < ends[0]
    assert ends[-1] < request.end_time_unix_nano + slack_ns


def test_each_stage_of_a_request_is_a_span_under_the_clients(
    tmp_path: Path, received: Received
) -> None:
    publish_colour_model(tmp_path / "repository", "colour")
    flags = ["--model_repository", str(tmp_path / "repository"), "--precision", "fp32"]
    picture = noise_png(0)
    image = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [as_text(picture)]}
    tensors = {"id": "r-1", "inputs": [image]}
    posted: dict[str, dict[str, Any]] = {
        "/v1/models/{name}:predict": {"json": instances(picture)},
        "/v1/models/{name}/predict": {"json": instances(picture)},
        "/inference": {"json": instances(picture)},
        "/invocations": {"content": picture, "headers": {"content-type": "image/png"}},
        "/endpoints/{endpoint}/invocations": {"json": instances(picture)},
        "/v2/models/{name}/infer": {"json": tensors},
        "/v2/models/{name}/versions/{version}/infer": {"json": tensors},
    }
    posts = {path for method, path in OPERATIONS if method == "POST"}
    assert {path for path in posts if not path.startswith(NO_INFERENCE)} == posted.keys()
    names = {"name": "colour", "version": "1", "endpoint": "colour"}
    routes = list(posted)
    calls = {100: ("ModelInfer", ask_grpc), 101: ("ModelStreamInfer", ask_stream)}
    with live_server(tmp_path / "log", *flags) as server, server.client() as http:

        def post(number: int, route: str, **request: Any) -> int:
            headers = {**request.pop("headers", {}), "traceparent": traceparent(number)[1]}
            return http.post(route.format(**names), **request, headers=headers).status_code

        for number, route in enumerate(routes, 1):
            assert post(number, route, **posted[route]) == 200, route
        for number, (_, ask) in calls.items():
            ask(server, traceparent(number)[1], picture)
        assert post(200, "/inference", json=instances(b"no")) == 400
        health = {"traceparent": traceparent(201)[1]}
        assert http.get("/v2/health/ready", headers=health).status_code == 200
        off = {"trace_level": ["OFF"]}
        assert post(202, "/v2/models/{name}/trace/setting", json=off) == 200
        for number in (203, 204):
            assert post(number, routes[0], **posted[routes[0]]) == 200
    # The server has ended, and has sent what was left.
    for number, route in enumerate(routes, 1):
        request_id = "r-1" if posted[route].get("json") is tensors else ""
        check_trace(received.of(traceparent(number)[0]), f"POST {route}", request_id)
    for number, (rpc, _) in calls.items():
        (call,) = [span for span in received.of(traceparent(number)[0]) if rpc in span.name]
        assert call.name.lstrip("/") == SERVICE.lstrip("/") + rpc
        check_trace(received.of(traceparent(number)[0]), call.name, "g-1")
    assert [span.name for span in received.of(traceparent(200)[0])] == ["POST /inference"]
    for number in (201, 202, 203, 204):
        assert received.of(traceparent(number)[0]) == []
    assert received.services == {"aperture"}


def test_what_the_sampler_leaves_out_is_not_sent(
    tmp_path: Path, received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    publish_colour_model(tmp_path / "repository", "colour")
    flags = ["--model_repository", str(tmp_path / "repository")]
    with live_server(tmp_path / "log", *flags) as server, server.client() as http:
        assert http.post("/inference", json=instances(noise_png(0))).status_code == 200
    assert received.spans == []


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_receiver_that_does_not_answer_holds_no_end_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    publish_colour_model(tmp_path / "repository", "colour")
    flags = ["--model_repository", str(tmp_path / "repository")]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1000000")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with live_server(tmp_path / "log", *flags) as server, server.client() as http:
            assert http.post("/inference", json=instances(noise_png(0))).status_code == 200
    log = (tmp_path / "log").read_text()
    assert "spans were not exported lost=5 of=5" in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("environ", "exporter"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318"}, "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:4318/v1/traces"}, "http/protobuf"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "http/protobuf"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4317",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
            },
            "grpc",
        ),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318", "OTEL_TRACES_EXPORTER": "none"}, None),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, None),
    ],
)
def test_the_variables_ask_for_traces(environ: dict[str, str], exporter: str | None) -> None:
    assert asked_exporter(environ) == exporter


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"OTEL_TRACES_EXPORTER": "jaeger"}, "OTEL_TRACES_EXPORTER is 'jaeger'"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_PROTOCOL is 'http/json'",
        ),
        *(
            ({"OTEL_TRACES_EXPORTER": "otlp", name: value}, f"^{name} is '{value}'")
            for name, value in (
                ("OTEL_PROPAGATORS", "b3"),
                ("OTEL_PROPAGATORS", "tracecontext,b3"),
                ("OTEL_BSP_MAX_QUEUE_SIZE", "256"),
                ("OTEL_BSP_MAX_QUEUE_SIZE", "abc"),
                ("OTEL_BSP_SCHEDULE_DELAY", "0"),
                ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "abc"),
                ("OTEL_ATTRIBUTE_COUNT_LIMIT", "-1"),
                *(("OTEL_EXPORTER_OTLP_TIMEOUT", value) for value in ("soon", "0", "inf")),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:9"),
                ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/absent"),
            )
        ),
    ],
)
def test_values_that_cannot_be_used_are_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        asked_exporter(environ)


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_PROPAGATORS": "tracecontext, baggage"},
        {"OTEL_PROPAGATORS": "b3,none"},
        {"OTEL_BSP_MAX_QUEUE_SIZE": "256", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "256"},
        {"OTEL_BSP_SCHEDULE_DELAY": "", "OTEL_SPAN_LINK_COUNT_LIMIT": ""},
        {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.5"},
    ],
)
def test_values_that_can_be_used_are_not(environ: dict[str, str]) -> None:
    assert asked_exporter({"OTEL_TRACES_EXPORTER": "otlp", **environ}) == "http/protobuf"


def test_what_is_empty_or_nobodys_wish_is_not_left_to_opentelemetry() -> None:
    environ = {"OTEL_PROPAGATORS": "b3", "OTEL_BSP_SCHEDULE_DELAY": "", "PATH": ""}
    assert to_unset(environ, "http/protobuf") == ["OTEL_BSP_SCHEDULE_DELAY"]
    assert to_unset(environ, None) == ["OTEL_PROPAGATORS", "OTEL_BSP_SCHEDULE_DELAY"]
