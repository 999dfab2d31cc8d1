"""How much memory a served model takes, and how long its server takes to be ready.

    python -m bench.memory [--seconds 10] [--connections 8]

Each model is served alone on all CPUs of the process, in fp32 and in the lowest precision that the
machine computes in; the load is the photograph over V1. Random weights take as much as trained ones.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.load import measure
from bench.serve import lowest_precision
from contract.hardware import available_cpus
from tests.e2e.random_models import publish_classifier, publish_detector, publish_segmenter
from tests.live_server import live_server
from tests.picture_files import china_jpeg, instances


@dataclass(frozen=True, slots=True)
class Case:
    """A model of a size, and what publishes it."""

    title: str
    publish: Callable[[Path, str, str, int], object]
    model: str
    input_size: int


CASES = (
    Case("ResNet-50 at 224", publish_classifier, "resnet-50", 224),
    Case("SegFormer-B3 at 512", publish_segmenter, "segformer-b3", 512),
    Case("DETR ResNet-50 at 800", publish_detector, "detr-resnet-50", 800),
)


def main() -> None:
    """Measure every case and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    print(f"{available_cpus()} CPUs")
    print("| model | precision | files | ready after | memory when ready | most | pictures/s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            repository = Path(folder) / "repository"
            case.publish(repository, "model", case.model, case.input_size)
            for precision in dict.fromkeys(("fp32", lowest_precision())):
                print(row(case, Path(folder), precision, options), flush=True)


def row(case: Case, folder: Path, precision: str, options: argparse.Namespace) -> str:
    """Serve one case and load it."""
    repository = folder / "repository"
    files = sum(path.stat().st_size for path in repository.rglob("*") if path.is_file())
    flags = ["--model_repository", str(repository), "--precision", precision]
    began = time.perf_counter()
    with live_server(folder / "log", *flags, start_s=600) as server:
        ready_s = time.perf_counter() - began
        before = status_mb(server.process.pid, "VmRSS")
        body = json.dumps(instances(china_jpeg())).encode()
        load = ("/v1/models/model:predict", body, options.connections)
        rate = measure(server.http_port, *load, seconds=options.seconds).requests_per_s
        most = status_mb(server.process.pid, "VmHWM")
    return (
        f"| {case.title} | {precision} | {files / 1e6:.0f} MB | {ready_s:.0f} s | {before:.0f} MB "
        f"| {most:.0f} MB | {rate:.1f} |"
    )


def status_mb(pid: int, name: str) -> float:
    """A line of /proc/PID/status that is in kB, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    (line,) = [one for one in lines if one.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
