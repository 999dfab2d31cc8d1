"""Clients that ask a server without a pause over every protocol, and what they were answered.

Their model is the colour classifier, of which each version has a scale of its own, so that an answer
tells the version that gave it.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.live_server import LiveServer
from tests.picture_files import noise, noise_png
from tests.tiny_models import colour_scores

PICTURES = 10


def picture_files(folder: Path) -> list[Path]:
    """What a client asks about at once: random pictures of the model's size, in files."""
    files = [folder / f"{seed}.png" for seed in range(PICTURES)]
    for seed, file in enumerate(files):
        file.write_bytes(noise_png(seed))
    return files


def same(answer: str, scale: float) -> bool:
    """Whether all rows of an answer are of the version of that scale."""
    scores = colour_scores(np.stack([noise(seed) for seed in range(PICTURES)]), scale)
    return bool(np.allclose(json.loads(answer), scores, atol=2e-4))


class Load:
    """The steady clients; their findings once they were stopped."""

    def __init__(self, server: LiveServer, model: str, files: list[Path]) -> None:
        command = [sys.executable, "-m", "tests.clients.steady", server.url]
        command += [f"127.0.0.1:{server.grpc_port}", model, *map(str, files)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def stop(self) -> dict[str, Any]:
        """By protocol: each answer and error with its count, and the last answer."""
        printed, _ = self._process.communicate("", timeout=120)
        assert self._process.returncode == 0
        found: dict[str, Any] = json.loads(printed)
        return found

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def steady_load(server: LiveServer, model: str, files: list[Path]) -> Iterator[Load]:
    """The clients ask while this is entered, unless they are stopped before."""
    load = Load(server, model, files)
    try:
        yield load
    finally:
        load.kill()


def check_versions(found: dict[str, Any], scales: list[float]) -> None:
    """Every answer is of one of these versions, each of them answered, the last one last; no errors."""
    for protocol, asked in found.items():
        assert asked["errors"] == {}, protocol
        of_scale = {
            scale: sum(count for answer, count in asked["answers"].items() if same(answer, scale))
            for scale in scales
        }
        assert all(of_scale.values()), f"{protocol}: {of_scale}"
        assert sum(of_scale.values()) == sum(asked["answers"].values()), "an answer of no version"
        assert same(asked["last"], scales[-1]), protocol


def index(server: LiveServer) -> dict[str, dict[str, str]]:
    """The rows of the server's one model, by version."""
    rows = httpx.post(server.url + "/v2/repository/index").json()
    return {row.get("version", ""): row for row in rows}


def serves(server: LiveServer, model: str, number: int) -> bool:
    """Whether the version is ready, and has answered the clients since the model was loaded."""
    if index(server).get(str(number), {}).get("state") != "READY":
        return False
    (row,) = httpx.get(f"{server.url}/v2/models/{model}/stats").json()["model_stats"]
    count: int = row["inference_stats"]["success"]["count"]
    return row["version"] == str(number) and count > 5
