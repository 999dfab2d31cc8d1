"""`aperture-serve serve`, as SageMaker starts a container, and how its tests ask it."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx

from tests.live_server import LiveServer, free_port, wait_for
from tests.picture_files import noise_png

PICTURE: Final = noise_png(5)
WIDE: Final = noise_png(6, width=24, height=16)


@contextlib.contextmanager
def container(folder: Path, **variables: str) -> Iterator[LiveServer]:
    """`aperture-serve serve` with folder/ml for /opt/ml; asserts that SIGTERM ends it with 0."""
    http, grpc = free_port(), free_port()
    environ = {**os.environ, "SAGEMAKER_BASE_DIR": str(folder / "ml")}
    environ["SAGEMAKER_BIND_TO_PORT"] = str(http)
    environ["SAGEMAKER_SAFE_PORT_RANGE"] = f"{grpc}-{grpc}"
    command = [sys.executable, "-m", "server", "serve", "--provider=cpu", "--precision=fp32"]
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--shutdown_delay=0"], stdout=out, stderr=out, env={**environ, **variables}
        )
    server = LiveServer(process, http, grpc, log)
    try:
        wait_for(server, "/ping")
        yield server
        assert server.stop() == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def invoke(
    vision: httpx.Client,
    model: str,
    body: bytes = PICTURE,
    content_type: str | None = "application/x-image",
    accept: str | None = None,
) -> httpx.Response:
    headers = {"Content-Type": content_type, "Accept": accept}
    given = {name: value for name, value in headers.items() if value is not None}
    request = vision.build_request("POST", f"/invocations?model={model}", content=body)
    for name in headers:
        request.headers.pop(name, None)
    request.headers.update(given)
    return vision.send(request)


def success_count(vision: httpx.Client, model: str) -> int:
    """How many requests the model has answered."""
    stats = vision.get(f"/v2/models/{model}/stats").json()
    found: int = stats["model_stats"][0]["inference_stats"]["success"]["count"]
    return found
