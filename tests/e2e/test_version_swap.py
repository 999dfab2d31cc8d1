"""Versions come and go under a steady load over every protocol, and no answer is harmed."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from contract.repository import publish
from tests.live_server import LiveServer, live_server, wait_until
from tests.picture_files import noise
from tests.tiny_models import LABELS, colour_config, colour_scores, write_colour_model

PICTURES = 10
REFUSALS = {
    (status, text)
    for statuses, text in (
        (("[404", "NOT_FOUND"), "Request for unknown model: 'm' has no available versions"),
        (("[503", "UNAVAILABLE"), "model 'm' is not ready: loading"),
    )
    for status in statuses
}


def publish_scaled(root: Path, scale: float) -> None:
    """Publish a version whose answers tell it from those of another scale."""
    write = partial(write_colour_model, scale=scale)
    publish(root, colour_config("m"), LABELS, write)


def answer_of(scale: float) -> list[list[float]]:
    scores = colour_scores(np.stack([noise(seed) for seed in range(PICTURES)]), scale)
    return np.round(scores, 4).tolist()  # type: ignore[no-any-return]


def same(answer: str, scale: float) -> bool:
    """Whether all rows of an answer are of the version of that scale."""
    return bool(np.allclose(json.loads(answer), answer_of(scale), atol=2e-4))


class Load:
    """The steady clients; their findings once they were stopped."""

    def __init__(self, server: LiveServer, files: list[Path]) -> None:
        command = [sys.executable, "-m", "tests.clients.steady", server.url]
        command += [f"127.0.0.1:{server.grpc_port}", "m", *map(str, files)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def stop(self) -> dict[str, Any]:
        printed, _ = self._process.communicate("", timeout=120)
        assert self._process.returncode == 0
        found: dict[str, Any] = json.loads(printed)
        return found

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def steady_load(server: LiveServer, files: list[Path]) -> Iterator[Load]:
    load = Load(server, files)
    try:
        yield load
    finally:
        load.kill()


def served_runs(server: LiveServer) -> int:
    """How many requests the model has answered since it was loaded."""
    (row,) = httpx.get(server.url + "/v2/models/m/stats").json()["model_stats"]
    count: int = row["inference_stats"]["success"]["count"]
    return count


def index(server: LiveServer) -> dict[str, dict[str, str]]:
    rows = httpx.post(server.url + "/v2/repository/index").json()
    return {row.get("version", ""): row for row in rows}


def newest_is(server: LiveServer, number: int) -> bool:
    """Whether the version serves, and answers the clients."""
    ready = index(server).get(str(number), {}).get("state") == "READY"
    return ready and served_runs(server) > 5


def test_new_versions_take_over_without_an_error(tmp_path: Path, png_files: list[Path]) -> None:
    root = tmp_path / "models"
    publish_scaled(root, 16)
    flags = ["--model_repository", str(root), "--model_control_mode", "poll", "--precision", "fp32"]
    with (
        live_server(tmp_path / "log", *flags, "--repository_poll_secs", "1") as server,
        steady_load(server, png_files) as load,
    ):
        wait_until(lambda: newest_is(server, 1))
        publish_scaled(root, 32)
        wait_until(lambda: newest_is(server, 2))
        (root / "m" / "3").mkdir()
        (root / "m" / "3" / "model.onnx").write_bytes(b"no model")
        wait_until(lambda: index(server).get("3", {}).get("state") == "UNAVAILABLE")
        assert index(server)["2"]["state"] == "READY"
        assert httpx.get(server.url + "/v2/health/ready").status_code == 200
        publish_scaled(root, 64)
        wait_until(lambda: newest_is(server, 4))
        found = load.stop()
        wait_until(lambda: index(server)["1"]["state"] == "UNAVAILABLE")
    for protocol, asked in found.items():
        assert asked["errors"] == {}, protocol
        of_scale = {
            scale: sum(count for answer, count in asked["answers"].items() if same(answer, scale))
            for scale in (16, 32, 64)
        }
        assert all(of_scale.values()), f"{protocol}: {of_scale}"
        assert sum(of_scale.values()) == sum(asked["answers"].values()), "an answer of no version"
        assert same(asked["last"], 64), protocol


def test_an_unload_under_load_refuses_and_breaks_no_answer(
    tmp_path: Path, png_files: list[Path]
) -> None:
    root = tmp_path / "models"
    publish_scaled(root, 16)
    flags = ["--model_repository", str(root), "--model_control_mode", "explicit"]
    flags += ["--load_model", "m", "--precision", "fp32"]
    with (
        live_server(tmp_path / "log", *flags) as server,
        server.client() as http,
        steady_load(server, png_files) as load,
    ):
        for _ in range(3):
            wait_until(lambda: newest_is(server, 1))
            assert http.post("/v2/repository/models/m/unload").status_code == 200
            wait_until(lambda: index(server)["1"]["state"] == "UNAVAILABLE")
            assert http.post("/v2/repository/models/m/load").status_code == 200
        wait_until(lambda: newest_is(server, 1))
        found = load.stop()
    for protocol, asked in found.items():
        assert all(same(answer, 16) for answer in asked["answers"]), protocol
        assert asked["errors"], protocol
        for error in asked["errors"]:
            status, _, text = error.partition("] ")
            assert (status.removeprefix("[StatusCode."), text) in REFUSALS, error
