"""A client that leaves, or whose time is over, costs no inference: its picture leaves the queue."""

import concurrent.futures
import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator

import grpc
import httpx
import pytest
from PIL import Image

from server.protocol import oip_pb2 as oip
from tests.bright_is_slow import publish_slow_model
from tests.live_server import LiveServer, live_server
from tests.picture_files import as_text, encode, instances
from tests.tiny_models import SIZE

BLACK = encode(Image.new("RGB", (SIZE, SIZE)))
WHITE = encode(Image.new("RGB", (SIZE, SIZE), "white"))
INFER = "/inference.GRPCInferenceService/ModelInfer"
PATIENCE_S = 30.0
OCCUPANTS = 16  # white pictures, whose runs outlast the deadline of the call below many times

Leave = Callable[[], None]
Send = Callable[[LiveServer], Leave]


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("slow")
    publish_slow_model(folder / "repository", "slow")
    flags = ["--model_repository", str(folder / "repository"), "--precision", "fp32"]
    flags += ["--provider", "cpu", "--threads", "1"]
    with live_server(folder / "log", *flags) as server:
        yield server


def counted(http: httpx.Client) -> dict[str, int]:
    """The pending requests, runs, pictures and cancelled requests, as /metrics says."""
    text = http.get("/metrics").text
    names = {
        "pending": 'nv_inference_pending_request_count{model="slow",version="1"}',
        "runs": 'nv_inference_exec_count{model="slow",version="1"}',
        "pictures": 'nv_inference_count{model="slow",version="1"}',
        "cancelled": 'nv_inference_request_failure{model="slow",reason="CANCELED",version="1"}',
    }
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: int(lines[key]) for name, key in names.items()}


def wait_until(http: httpx.Client, **wanted: int) -> None:
    """Ask until the counts are as wanted."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        counts = counted(http)
        if all(counts[name] == count for name, count in wanted.items()):
            return
    raise AssertionError(f"{counts}; expected {wanted}")


def post(path: str, body: object) -> Send:
    """Sends a REST request; leaving closes its connection."""

    def send(server: LiveServer) -> Leave:
        content = json.dumps(body).encode()
        client = socket.create_connection(("127.0.0.1", server.http_port))
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(content)}\r\n\r\n"
        client.sendall(head.encode() + content)
        return client.close

    return send


def message() -> oip.ModelInferRequest:
    image = oip.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
    image.contents.bytes_contents.append(WHITE)
    return oip.ModelInferRequest(model_name="slow", inputs=[image])


def call(timeout_s: float | None, ends_with: grpc.StatusCode) -> Send:
    """Sends a gRPC request; leaving cancels it, or waits for its deadline."""

    def send(server: LiveServer) -> Leave:
        channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
        infer = channel.unary_unary(
            INFER,
            request_serializer=oip.ModelInferRequest.SerializeToString,
            response_deserializer=oip.ModelInferResponse.FromString,
        )
        future = infer.future(message(), timeout=timeout_s)

        def leave() -> None:
            if timeout_s is None:
                future.cancel()
            with contextlib.suppress(grpc.FutureCancelledError):
                future.exception()
            assert future.code() == ends_with
            channel.close()

        return leave

    return send


V2_BODY = {
    "inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [as_text(WHITE)]}]
}


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(post("/v1/models/slow:predict", instances(WHITE)), id="V1"),
        pytest.param(post("/inference", instances(WHITE)), id="EasyMaker"),
        pytest.param(post("/v2/models/slow/infer", V2_BODY), id="V2 REST"),
        pytest.param(call(None, grpc.StatusCode.CANCELLED), id="gRPC cancel"),
        pytest.param(call(1.0, grpc.StatusCode.DEADLINE_EXCEEDED), id="gRPC deadline"),
    ],
)
def test_a_client_that_left_costs_no_run(slow: LiveServer, send: Send) -> None:
    with slow.client() as http, concurrent.futures.ThreadPoolExecutor(1) as pool:
        before = counted(http)
        path, body = "/v1/models/slow:predict", instances(BLACK, *[WHITE] * OCCUPANTS)
        occupant = pool.submit(httpx.post, slow.url + path, json=body, timeout=300)
        wait_until(http, runs=before["runs"] + 1)  # the black one; a white one runs now
        leave = send(slow)
        wait_until(http, pending=1)
        leave()
        wait_until(http, pending=0, cancelled=before["cancelled"] + 1)
        assert not occupant.done(), "the model was too fast for this test to show anything"
        assert occupant.result().status_code == 200
        after = counted(http)
    assert after["runs"] == before["runs"] + 1 + OCCUPANTS
    assert after["pictures"] == before["pictures"] + 1 + OCCUPANTS


def test_the_log_says_who_left_and_has_no_traceback(slow: LiveServer) -> None:
    text = slow.log.read_text()
    assert "client left path=/v2/models/slow/infer" in text
    assert "Traceback" not in text
