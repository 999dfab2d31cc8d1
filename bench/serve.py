"""Aperture beside a plain KServe predictor: the same ONNX file, pictures, client and cores.

    python -m bench.serve [--rounds 3] [--seconds 5] [--connections 8]

The servers take turns, a round each; the figures are the medians of the rounds. Random weights
compute as fast as trained ones.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.load import Measured, measure
from contract.sessions import detect_machine
from tests.live_server import free_port, live_server, wait_for_url
from tests.picture_files import china_jpeg, instances, noise_png
from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.export import describe_model, write_onnx
from trainer.folder_publishing import publish_folder
from trainer.tasks import load_task

LABELS = tuple(f"class-{i}" for i in range(10))


@dataclass(frozen=True, slots=True)
class Case:
    """A model and the picture that is sent to it."""

    title: str
    model: str
    input_size: int
    picture: bytes


CASES = (
    Case("ResNet-50 at 224, a 640 x 427 JPEG", "resnet-50", 224, china_jpeg()),
    Case("ResNet-50 at 28, a 28 x 28 PNG", "resnet-50", 28, noise_png(0, 28, 28)),
)


def main() -> None:
    """Measure every case and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    print(
        f"| model and picture | plain KServe | Aperture fp32 | Aperture {lowest_precision()} | health p99, plain | health p99, Aperture |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            print(row(case, Path(folder), options), flush=True)


def lowest_precision() -> str:
    """What the server can compute in here; random weights have no measurement that chooses it."""
    machine = detect_machine()
    return "bf16" if machine.has_openvino and machine.bf16_flags else "fp32"


def row(case: Case, folder: Path, options: argparse.Namespace) -> str:
    """Measure one case."""
    onnx = publish_random(case, folder / "repository")
    body = json.dumps(instances(case.picture)).encode()
    results: dict[str, list[Measured]] = {}
    for _ in range(options.rounds):
        for name, server in servers(folder, onnx).items():
            with server as port:
                load = ("/v1/models/model:predict", body, options.connections)
                measure(port, *load, seconds=1.0)
                results.setdefault(name, []).append(measure(port, *load, seconds=options.seconds))
    rate = {name: statistics.median(m.requests_per_s for m in ms) for name, ms in results.items()}
    health = {name: statistics.median(m.health(99) for m in ms) for name, ms in results.items()}
    plain = rate["plain"]
    return (
        f"| {case.title} | {plain:.0f} pictures/s | {rate['fp32']:.0f} ({rate['fp32'] / plain:.1f} x) "
        f"| {rate['lowest']:.0f} ({rate['lowest'] / plain:.1f} x) "
        f"| {health['plain']:.0f} ms | {health['lowest']:.0f} ms |"
    )


def servers(folder: Path, onnx: Path) -> dict[str, contextlib.AbstractContextManager[int]]:
    """The servers to compare, each yielding its port."""
    return {
        "plain": plain(onnx, folder / "plain.log"),
        "fp32": aperture(folder, "fp32"),
        "lowest": aperture(folder, lowest_precision()),
    }


@contextlib.contextmanager
def aperture(folder: Path, precision: str) -> Iterator[int]:
    """Our server."""
    flags = ["--model_repository", str(folder / "repository"), "--precision", precision]
    with live_server(folder / "aperture.log", *flags) as server:
        yield server.http_port


@contextlib.contextmanager
def plain(onnx: Path, log: Path) -> Iterator[int]:
    """The peer."""
    port = free_port()
    with log.open("wb") as out:
        command = [sys.executable, "-W", "ignore", "-m", "bench.plain_kserve", str(onnx), str(port)]
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        wait_for_url(f"http://127.0.0.1:{port}/v2/health/live", process, log)
        yield port
    finally:
        process.terminate()
        process.wait()


def publish_random(case: Case, repository: Path) -> Path:
    """Publish the case's model from random weights; returns its ONNX file."""
    wanted = ClassificationHyperparameters(model=case.model, input_size=case.input_size)
    task = load_task("image-classification").of(wanted)
    model = task.build_model(LABELS)
    module = task.serving_module(model).eval()
    config = describe_model(task, model, "model", LABELS, case.input_size)
    version = publish_folder(
        repository, config, LABELS, lambda path: write_onnx(task, module, config, path)
    )
    return repository / "model" / str(version) / "model.onnx"


if __name__ == "__main__":
    main()
