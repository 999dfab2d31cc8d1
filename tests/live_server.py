"""A real server in a process of its own, on free ports, ended by SIGTERM."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

_START_S = 60.0


@dataclass(frozen=True, slots=True)
class LiveServer:
    """A running aperture-serve."""

    process: "subprocess.Popen[bytes]"
    http_port: int
    grpc_port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_server(log: Path, *flags: str) -> LiveServer:
    """Start a server; it may not be ready, or not even listen, yet."""
    http_port, grpc_port = free_port(), free_port()
    command = [sys.executable, "-m", "server"]
    command += ["--http_port", str(http_port), "--grpc_port", str(grpc_port), *flags]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ.copy())
    return LiveServer(process, http_port, grpc_port, log)


def wait_for(
    server: LiveServer,
    path: str = "/v2/health/ready",
    status: int = 200,
    start_s: float = _START_S,
) -> None:
    """Poll until `path` answers with `status`; fails with the log if the server ends first."""
    wait_for_url(server.url + path, server.process, server.log, status, start_s)


def wait_for_url(
    url: str,
    process: "subprocess.Popen[bytes]",
    log: Path,
    status: int = 200,
    start_s: float = _START_S,
) -> None:
    """Poll until `url` answers with `status`; fails with the log if the process ends first."""
    deadline = time.monotonic() + start_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"the server ended:\n{log.read_text()}")
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url).status_code == status:
                return
        time.sleep(0.05)
    raise AssertionError(f"no {status} from {url} in {start_s} s:\n{log.read_text()}")


def wait_until(condition: Callable[[], bool], within_s: float = _START_S) -> None:
    """Ask until `condition` holds; fails after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.02)


@contextlib.contextmanager
def live_server(log: Path, *flags: str, start_s: float = _START_S) -> Iterator[LiveServer]:
    """A server that is ready within `start_s` seconds; asserts that SIGTERM ends it with 0."""
    server = start_server(log, "--shutdown_delay", "0", *flags)
    try:
        wait_for(server, start_s=start_s)
        yield server
        assert server.stop() == 0, log.read_text()
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
