"""The health check of Dockerfile.serve, which compose.yaml takes too, asked here without an image.

test_running.py asks that of the image about a real server.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from images import ROOT
from tests.live_server import free_port

NO_PROXY_HERE = "http://127.0.0.1:1"
PORTS = ("APERTURE_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT")


def image_check() -> list[str]:
    """The check of the image, as exec takes it."""
    text = (ROOT / "Dockerfile.serve").read_text(encoding="utf-8")
    match = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", text, re.MULTILINE)
    assert match is not None
    command: list[str] = json.loads(match[1])
    return command


def ask(port: int, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the check where an HTTP proxy is set, its port 8080 being another one here."""
    command = image_check()
    assert command[0] == "python3"
    script = command[-1] if variables else command[-1].replace("8080", str(port))
    environ = {name: value for name, value in os.environ.items() if name not in PORTS}
    environ |= {"http_proxy": NO_PROXY_HERE, "HTTP_PROXY": NO_PROXY_HERE, **variables}
    return subprocess.run(
        [sys.executable, *command[1:-1], script],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A port where GET of the readiness path is answered with a status, any other with 404."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/v2/health/ready" else 404)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_ready_server_is_healthy_whatever_proxy_is_set() -> None:
    with answering(200) as port:
        done = ask(port)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_one_that_is_not_ready_is_unhealthy_and_says_its_status() -> None:
    with answering(503) as port:
        done = ask(port)
    assert (done.returncode, done.stderr) == (1, "status 503\n")


def test_one_that_does_not_listen_is_unhealthy() -> None:
    done = ask(free_port())
    assert done.returncode == 1
    assert "Connection refused" in done.stderr


@pytest.mark.parametrize("variable", PORTS)
def test_the_image_is_asked_at_the_port_that_its_variables_name(variable: str) -> None:
    with answering(200) as port:
        assert ask(port, **{variable: str(port)}).returncode == 0
