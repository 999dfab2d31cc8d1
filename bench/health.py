"""How long health takes to answer while the server has all it can do.

    python -m bench.health [--seconds 20] [--connections 8] [--loads 1,3]

The loads are JPEGs for ResNet-50 at 224; tensors of tens of megabytes, written as JSON, as they are
sent and as they are answered; both; and bodies that are large in one of the other ways that a client
has. The clients run on the same cores as the server.
"""

import argparse
import asyncio
import gzip
import json
import multiprocessing
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from bench.load import post, repeat, watch
from bench.serve import CASES, publish_random
from server.protocol import oip_pb2 as oip
from tests.live_server import LiveServer, live_server
from tests.onnx_graphs import Through, write_identity
from tests.picture_files import instances

PATHS = ("/v2/health/live", "/v2/health/ready")
SERVICE = "/inference.GRPCInferenceService/"
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
NUMBERS = 3_500_000
LONG = 60_000_000
STRINGS = 250_000
STRING = 16_000_000
FEW = """
max_batch_size: 4096
input { name: "x" data_type: TYPE_FP32 dims: [4] }
output { name: "y" data_type: TYPE_FP32 dims: [4] }
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent over and over, each request over a connection of its own.

    Attributes:
        http: Whole HTTP requests.
        grpc: Messages for ModelInfer.
        status: What HTTP answers.
    """

    http: Sequence[bytes] = ()
    grpc: Sequence[bytes] = ()
    status: int = 200


def main() -> None:
    """Measure every load and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--loads", help="numbers of the loads to measure, from 1; default: all")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        publish(repository)
        flags = ["--model_repository", str(repository)]
        with live_server(Path(folder) / "log", *flags, start_s=300) as server:
            columns = " | ".join(f"{name} p50 | p99 | most" for name in ("live", "ready", "gRPC"))
            print(f"| load | answers/s | {columns} |")
            print("| --- " * 11 + "|")
            chosen = options.loads.split(",") if options.loads else ()
            for number, (title, load) in enumerate(loads(options.connections).items(), 1):
                if not chosen or str(number) in chosen:
                    print(f"| {title} | {row(server, load, options.seconds)} |", flush=True)


def publish(repository: Path) -> None:
    """Publish a ResNet-50, and models that answer what they are asked."""
    publish_random(CASES[0], repository)
    models: tuple[tuple[str, str, list[int | str | None]], ...] = (
        ("same", "FP32", ["n", 1000]),
        ("few", "FP32", ["n", 4]),
        ("words", "BYTES", ["n", "k"]),
    )
    for name, datatype, dims in models:
        through = Through("", datatype, dims)
        write_identity(repository / name / "1" / "model.onnx", through)
    (repository / "few" / "config.pbtxt").write_text(FEW)


def loads(connections: int) -> Mapping[str, Load]:
    """The requests of each load."""
    jpeg = post("/v1/models/model:predict", json.dumps(instances(CASES[0].picture)).encode())
    numbers = np.random.default_rng(0).normal(size=NUMBERS).round(6).tolist()
    wide = infer("same", "FP32", [NUMBERS // 1000, 1000], numbers)
    few = infer("few", "FP32", [NUMBERS // 4, 4], numbers)
    text = infer("words", "BYTES", [1, 1], ["a" * STRING])
    texts = infer("words", "BYTES", [STRING // 40_000, 1], ["a" * 40_000] * (STRING // 40_000))
    file = CASES[0].picture + bytes(LONG * 3 // 4 - len(CASES[0].picture))
    picture = post("/v1/models/model:predict", json.dumps(instances(file)).encode())
    members = gzip.compress(b"") * (16_000_000 // len(gzip.compress(b"")))
    body = json.dumps({"inputs": [tensor("FP32", [1, 4], [0] * 4)]}).encode()
    size = f"{len(wide) / 1e6:.0f} MB of JSON there and back"
    return {
        f"{connections} connections with JPEGs": Load([jpeg] * connections),
        f"1 connection with {size}": Load([wide]),
        f"{connections} connections with JPEGs, 1 with {size}": Load([jpeg] * connections + [wide]),
        f"4 connections with {size}": Load([wide] * 4),
        "the same numbers in rows of 4": Load([few]),
        f"a picture of {LONG / 1e6:.0f} MB in base64": Load([picture]),
        f"a string of {STRING / 1e6:.0f} MB in JSON there and back": Load([text]),
        "the same in strings of 40 kB": Load([texts]),
        f"{LONG / 1e6:.0f} MB of backslashes, refused": refused(b"[" * 101 + b"\\" * LONG),
        f"{LONG / 1e6:.0f} MB of line ends, refused": refused(b'{"instances":' + b"\n" * LONG),
        "16 MB of gzip members, one of them with content": Load(
            [
                post(
                    "/v2/models/few/infer",
                    members + gzip.compress(body),
                    "Content-Encoding: gzip\r\n",
                )
            ]
        ),
        f"gRPC, {STRINGS} strings in bytes_contents": Load(grpc=[strings()]),
        f"gRPC, {LONG / 1e6:.0f} MB of raw numbers there and back": Load(grpc=[raw()]),
    }


def refused(body: bytes) -> Load:
    """A body that no JSON is, or too much of it."""
    return Load([post("/invocations?model=model", body)], status=400)


def tensor(datatype: str, shape: Sequence[int], data: object) -> dict[str, object]:
    """The input `x` as JSON has it."""
    return {"name": "x", "datatype": datatype, "shape": shape, "data": data}


def infer(model: str, datatype: str, shape: Sequence[int], data: object) -> bytes:
    """A V2 request with a tensor as JSON."""
    body = json.dumps({"inputs": [tensor(datatype, shape, data)]}).encode()
    return post(f"/v2/models/{model}/infer", body)


def strings() -> bytes:
    """A message of many short strings."""
    message = oip.ModelInferRequest(model_name="words")
    contents = oip.InferTensorContents(bytes_contents=[b"word"] * STRINGS)
    message.inputs.add(name="x", datatype="BYTES", shape=[1, STRINGS], contents=contents)
    return message.SerializeToString()


def raw() -> bytes:
    """A message with a large tensor."""
    message = oip.ModelInferRequest(model_name="same", raw_input_contents=[bytes(LONG)])
    message.inputs.add(name="x", datatype="FP32", shape=[LONG // 4000, 1000])
    return message.SerializeToString()


def row(server: LiveServer, load: Load, seconds: float) -> str:
    """The columns of a load, in milliseconds."""
    ports = (server.http_port, server.grpc_port)
    # Large bodies would delay the watch; a fork has the load without a copy, which would, too.
    context = multiprocessing.get_context("fork")
    ours, its = context.Pipe()
    sender = context.Process(target=send, args=(ports, load, seconds, its))
    sender.start()
    latencies = asyncio.run(watch_all(ports, seconds))
    columns = [f"{ours.recv() / seconds:.1f}"]
    sender.join()
    for some in latencies:
        columns += [f"{value:.0f} ms" for value in (*np.percentile(some, [50, 99]), max(some))]
    return " | ".join(columns)


def send(ports: tuple[int, int], load: Load, seconds: float, answers: Connection) -> None:
    """Send the load, and say how many requests were answered."""
    http_port, grpc_port = ports

    async def send_all() -> int:
        end = time.perf_counter() + seconds
        over_http = (repeat(http_port, request, end, load.status) for request in load.http)
        over_grpc = (repeat_call(grpc_port, message, end) for message in load.grpc)
        return sum(await asyncio.gather(*over_http, *over_grpc))

    answers.send(asyncio.run(send_all()))


async def repeat_call(port: int, message: bytes, end: float) -> int:
    """Call ModelInfer again and again until `end`; how often it was answered."""
    count = 0
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", OPTIONS) as channel:
        call: Any = channel.unary_unary(SERVICE + "ModelInfer")
        while time.perf_counter() < end:
            await call(message)
            count += 1
    return count


async def watch_all(ports: tuple[int, int], seconds: float) -> list[list[float]]:
    """The latencies of health, over REST and gRPC."""
    http_port, grpc_port = ports
    end = time.perf_counter() + seconds
    over_http = (watch(http_port, path, end) for path in PATHS)
    return await asyncio.gather(*over_http, watch_call(grpc_port, end))


async def watch_call(port: int, end: float) -> list[float]:
    """Call ServerLive every 20 ms until `end`; the latencies in milliseconds."""
    latencies_ms: list[float] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.unary_unary(SERVICE + "ServerLive")
        while time.perf_counter() < end:
            start = time.perf_counter()
            await call(b"")
            latencies_ms.append((time.perf_counter() - start) * 1e3)
            await asyncio.sleep(0.02)
    return latencies_ms


if __name__ == "__main__":
    main()
