"""Requests that are under way, or arriving, when the grace period is over."""

import concurrent.futures
import io
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
from PIL import Image

from server.protocol import oip_pb2 as oip
from server.protocol.grpc_server import SERVICE
from tests.bright_is_slow import publish_slow_model
from tests.live_server import LiveServer, start_server, wait_for, wait_until

WHITE = np.full((1, 8, 8, 3), 255, np.uint8)
PENDING = 'nv_inference_pending_request_count{model="slow",version="1"}'
GIVEN_UP = "the server is stopping, and the request was not answered within its --grace_period"
HALF = (
    b"POST /v2/models/slow/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n"
    b"Expect: 100-continue\r\n\r\n"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    """Its model takes minutes for a white picture, and its grace is a second."""
    publish_slow_model(tmp_path / "models", "slow", steps_a_level=16_000_000)
    flags = ["--model_repository", str(tmp_path / "models"), "--grace_period=1"]
    server = start_server(tmp_path / "log", *flags, "--shutdown_delay=0")
    try:
        wait_for(server)
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def over_v2(server: LiveServer) -> httpx.Response:
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 3], "data": WHITE.tolist()}
    return httpx.post(
        f"{server.url}/v2/models/slow/infer", json={"id": "r-1", "inputs": [image]}, timeout=60
    )


def over_aws_api(server: LiveServer) -> httpx.Response:
    picture = io.BytesIO()
    Image.fromarray(WHITE[0]).save(picture, "PNG")
    headers = {"Content-Type": "image/png"}
    url = f"{server.url}/endpoints/slow/invocations"
    return httpx.post(url, content=picture.getvalue(), headers=headers, timeout=60)


def over_grpc(server: LiveServer) -> grpc.StatusCode:
    image = oip.ModelInferRequest.InferInputTensor(
        name="image", datatype="UINT8", shape=WHITE.shape
    )
    request = oip.ModelInferRequest(
        model_name="slow", inputs=[image], raw_input_contents=[WHITE.tobytes()]
    )
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        infer = channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            oip.ModelInferRequest.SerializeToString,
            oip.ModelInferResponse.FromString,
        )
        with pytest.raises(grpc.RpcError) as caught:
            infer(request, timeout=60)
    code: grpc.StatusCode = caught.value.code()
    return code


def read_all(connection: socket.socket) -> bytes:
    connection.settimeout(60)
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_requests_given_up_at_the_end_are_answered_and_a_line_each_in_the_log(
    server: LiveServer,
) -> None:
    with (
        concurrent.futures.ThreadPoolExecutor(3) as pool,
        socket.create_connection(("127.0.0.1", server.http_port)) as half_sent,
    ):
        of_v2, of_aws = pool.submit(over_v2, server), pool.submit(over_aws_api, server)
        of_grpc = pool.submit(over_grpc, server)
        # One of them runs, which nothing can break off; the others wait.
        wait_until(lambda: f"{PENDING} 2\n" in httpx.get(server.url + "/metrics").text)
        half_sent.sendall(HALF)
        assert half_sent.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n", "its body is read"
        half_sent.sendall(b"{")
        assert server.stop() == 0
        for answer in (of_v2.result(), of_aws.result()):
            assert answer.status_code == 503
            assert answer.headers["Connection"] == "close"
        assert of_v2.result().json()["error"].startswith(GIVEN_UP)
        assert of_aws.result().headers["x-amzn-ErrorType"] == "ServiceUnavailable"
        assert of_aws.result().json()["Message"].startswith(GIVEN_UP)
        assert of_grpc.result() is grpc.StatusCode.UNAVAILABLE
        answered = read_all(half_sent)
    assert answered.startswith(b"HTTP/1.1 503 ")
    assert GIVEN_UP.encode() in answered
    log = server.log.read_text()
    assert "Traceback" not in log, log
    assert log.count(GIVEN_UP) == 3
    assert f"path=/v2/models/slow/infer request_id=r-1 status=503 error={GIVEN_UP}" in log
    assert "longer than --grace_period; it is given up" in log
