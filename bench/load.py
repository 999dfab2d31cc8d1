"""A load of HTTP requests from one process, cheap enough to leave the cores to the server."""

import asyncio
import time
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load saw.

    Attributes:
        requests_per_s: Answered requests in a second.
        health_ms: Latencies of `GET /v2/health/live` meanwhile, in milliseconds.
    """

    requests_per_s: float
    health_ms: tuple[float, ...]

    def health(self, percentile: float) -> float:
        """A percentile of the health latency, in milliseconds."""
        return float(np.percentile(self.health_ms, percentile))


def measure(port: int, path: str, body: bytes, connections: int, seconds: float) -> Measured:
    """POST `body` over `connections` for `seconds`, asking for health every 20 ms.

    Raises:
        RuntimeError: An answer is not 200.
    """
    return asyncio.run(_measure(port, path, body, connections, seconds))


async def _measure(port: int, path: str, body: bytes, connections: int, seconds: float) -> Measured:
    request = post(path, body)
    end = time.perf_counter() + seconds
    counts = asyncio.gather(*(repeat(port, request, end) for _ in range(connections)))
    health_ms = await watch(port, "/v2/health/live", end)
    return Measured(sum(await counts) / seconds, tuple(health_ms))


def post(path: str, body: bytes, headers: str = "") -> bytes:
    """A POST request of JSON, with more headers, each ended by its line's end."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


async def repeat(port: int, request: bytes, end: float, status: int = 200) -> int:
    """Send a request again and again over one connection until `end`; how often it was answered.

    Raises:
        RuntimeError: An answer is not of that status.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while time.perf_counter() < end:
        await _exchange(reader, writer, request, status)
        count += 1
    writer.close()
    return count


async def watch(port: int, path: str, end: float) -> list[float]:
    """GET `path` every 20 ms until `end`; the latencies in milliseconds.

    Raises:
        RuntimeError: An answer is not 200.
    """
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    latencies_ms: list[float] = []
    while time.perf_counter() < end:
        start = time.perf_counter()
        await _exchange(reader, writer, request)
        latencies_ms.append((time.perf_counter() - start) * 1e3)
        await asyncio.sleep(0.02)
    writer.close()
    return latencies_ms


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, status: int = 200
) -> None:
    writer.write(request)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 %d" % status):
        raise RuntimeError(head.decode())
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    await reader.readexactly(int(lengths[0].split(b":")[1]))
