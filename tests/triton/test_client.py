"""A program of tritonclient's gets the same answers of tritonserver and of ours."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.live_server import LiveServer
from tests.triton.conftest import Pair


def answers(server: LiveServer, library: str) -> dict[str, Any]:
    port = server.grpc_port if library.startswith("grpc") else server.http_port
    command = [sys.executable, "-m", "tests.triton.client", library, f"127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.mark.parametrize("library", ["http", "http.aio", "grpc", "grpc.aio"])
def test_a_program_of_tritonclients_gets_the_same_answers(pair: Pair, library: str) -> None:
    triton, ours = answers(pair.triton, library), answers(pair.ours, library)
    for part, expected in triton.items():
        assert ours[part] == expected, part
