"""Clients that offer another protocol, before a live server: curl --http2, and WebSocket's handshake."""

import concurrent.futures
import json
import shutil
import socket
import subprocess
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.bright_is_slow import publish_slow_model
from tests.live_server import LiveServer, free_port, start_server, wait_for, wait_until
from tests.picture_files import encode, instances, noise_png
from tests.tiny_models import SIZE

WEBSOCKET = (
    b"Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 2\r\n\r\n{}"
)
PENDING = 'nv_inference_pending_request_count{model="slow",version="1"}'


def _has_http2() -> bool:
    if shutil.which("curl") is None:
        return False
    version = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True)
    return "HTTP2" in version.stdout


@pytest.mark.skipif(not _has_http2(), reason="there is no curl that can offer HTTP/2")
@pytest.mark.parametrize("count", [1, 3])
def test_curl_that_offers_http2_is_answered_over_http1(
    server: LiveServer, http: httpx.Client, tmp_path: Path, count: int
) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps(instances(noise_png(0))))
    url = f"{server.url}/v1/models/colour:predict"
    command = ["curl", "-sS", "--http2", "-d", f"@{body}", "-w", "\n%{http_code}\n"]
    said = subprocess.run([*command, *[url] * count], capture_output=True, text=True, check=True)
    *answers, _ = said.stdout.split("\n200\n")
    expected = http.post(url, json=instances(noise_png(0))).json()
    assert [json.loads(answer) for answer in answers] == [expected] * count


def test_sigterm_lets_requests_end_beside_clients_that_offer_websocket(tmp_path: Path) -> None:
    publish_slow_model(tmp_path / "models", "slow", steps_a_level=100)
    metrics = free_port()
    flags = ["--model_repository", str(tmp_path / "models"), "--shutdown_delay", "0"]
    server = start_server(tmp_path / "log", *flags, "--metrics_port", str(metrics))
    try:
        wait_for(server)
        with (
            concurrent.futures.ThreadPoolExecutor(3) as pool,
            server.client() as http,
            socket.create_connection(("127.0.0.1", server.http_port), timeout=60) as of_rest,
            socket.create_connection(("127.0.0.1", metrics), timeout=60) as of_metrics,
        ):
            for connection, line in (
                (of_rest, b"POST /v2/repository/index"),
                (of_metrics, b"GET /metrics"),
            ):
                connection.sendall(line + b" HTTP/1.1\r\n" + WEBSOCKET)
                assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
            body = instances(encode(Image.new("RGB", (SIZE, SIZE), "white")))
            under_way = [
                pool.submit(http.post, "/v1/models/slow:predict", json=body) for _ in range(3)
            ]
            wait_until(lambda: _one_waits(metrics) or under_way[-1].done())
            assert server.stop() == 0, server.log.read_text()
            assert {each.result().status_code for each in under_way} == {200}
        assert "Traceback" not in server.log.read_text()
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def _one_waits(metrics_port: int) -> bool:
    """Whether a request waits for the one that runs."""
    return f"{PENDING} 0\n" not in httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text
