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
    post = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    end = time.perf_counter() + seconds
    health_ms: list[float] = []
    counts = asyncio.gather(*(_repeat(port, post, end) for _ in range(connections)))
    await asyncio.gather(counts, _watch_health(port, end, health_ms))
    return Measured(sum(counts.result()) / seconds, tuple(health_ms))


async def _repeat(port: int, request: bytes, end: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while time.perf_counter() < end:
        await _exchange(reader, writer, request)
        count += 1
    writer.close()
    return count


async def _watch_health(port: int, end: float, latencies_ms: list[float]) -> None:
    request = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < end:
        start = time.perf_counter()
        await _exchange(reader, writer, request)
        latencies_ms.append((time.perf_counter() - start) * 1e3)
        await asyncio.sleep(0.02)
    writer.close()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> None:
    writer.write(request)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    await reader.readexactly(int(lengths[0].split(b":")[1]))
