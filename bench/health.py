"""How long health takes to answer while the server has all it can do.

    python -m bench.health [--seconds 20] [--connections 8]

The loads are JPEGs for ResNet-50 at 224; tensors of tens of megabytes, written as JSON, as they are
sent and as they are answered; and both. The clients run on the same cores as the server.
"""

import argparse
import asyncio
import concurrent.futures
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.load import post, repeat, watch
from bench.serve import CASES, publish_random
from tests.live_server import live_server
from tests.onnx_graphs import Through, write_identity
from tests.picture_files import instances

PATHS = ("/v2/health/live", "/v2/health/ready")
NUMBERS = 3_500_000
COLUMNS = 1000


def main() -> None:
    """Measure every load and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        publish_random(CASES[0], repository)
        write_identity(
            repository / "same" / "1" / "model.onnx", Through("", "FP32", ["n", COLUMNS])
        )
        flags = ["--model_repository", str(repository)]
        with live_server(Path(folder) / "log", *flags, start_s=300) as server:
            print("| load | answers/s | live p50 | p99 | most | ready p50 | p99 | most |")
            print("| --- | --- | --- | --- | --- | --- | --- | --- |")
            for title, requests in loads(options.connections).items():
                print(
                    f"| {title} | {row(server.http_port, requests, options.seconds)} |", flush=True
                )


def loads(connections: int) -> Mapping[str, Sequence[bytes]]:
    """The requests of each load, one for each connection."""
    jpeg = post("/v1/models/model:predict", json.dumps(instances(CASES[0].picture)).encode())
    numbers = np.random.default_rng(0).normal(size=NUMBERS).round(6)
    tensor = {
        "name": "x",
        "datatype": "FP32",
        "shape": [NUMBERS // COLUMNS, COLUMNS],
        "data": numbers.tolist(),
    }
    text = json.dumps({"inputs": [tensor]}).encode()
    jsons = post("/v2/models/same/infer", text)
    size = f"{len(jsons) / 1e6:.0f} MB of JSON there and back"
    return {
        f"{connections} connections with JPEGs": [jpeg] * connections,
        f"1 connection with {size}": [jsons],
        f"{connections} connections with JPEGs, 1 with {size}": [jpeg] * connections + [jsons],
        f"4 connections with {size}": [jsons] * 4,
    }


def row(port: int, requests: Sequence[bytes], seconds: float) -> str:
    """The columns of a load, in milliseconds."""
    with concurrent.futures.ProcessPoolExecutor(1) as pool:  # large bodies would delay the watch
        answers = pool.submit(send, port, requests, seconds)
        latencies = asyncio.run(watch_all(port, seconds))
        columns = [f"{answers.result() / seconds:.1f}"]
    for some in latencies:
        columns += [f"{value:.0f} ms" for value in (*np.percentile(some, [50, 99]), max(some))]
    return " | ".join(columns)


def send(port: int, requests: Sequence[bytes], seconds: float) -> int:
    """Send the load; how many requests were answered."""

    async def send_all() -> int:
        end = time.perf_counter() + seconds
        return sum(await asyncio.gather(*(repeat(port, request, end) for request in requests)))

    return asyncio.run(send_all())


async def watch_all(port: int, seconds: float) -> list[list[float]]:
    """The latencies of health."""
    end = time.perf_counter() + seconds
    return await asyncio.gather(*(watch(port, path, end) for path in PATHS))


if __name__ == "__main__":
    main()
