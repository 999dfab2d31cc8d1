from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.e2e.containers import container
from tests.e2e.random_models import publish_detector, publish_segmenter
from tests.e2e.trace_receiver import Received, trace_receiver
from tests.live_server import LiveServer, live_server
from tests.picture_files import noise_png
from tests.tiny_detector import publish_colour_detector
from tests.tiny_models import publish_colour_model
from tests.tiny_segmenter import publish_colour_segmenter
from tests.trainings import quick_trainings
from trainer.checkpoints import Checkpoint


@dataclass(frozen=True, slots=True)
class ThreeTasks:
    """A server with a model of each task, and the checkpoints of those that torch can answer for.

    The models are `colour`, a classifier; `blocks`, a segmenter; `boxes`, a detector.
    """

    server: LiveServer
    blocks: Checkpoint
    boxes: Checkpoint


@pytest.fixture(scope="session", autouse=True)
def _quick_trainings() -> Iterator[None]:
    with quick_trainings():
        yield


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server of the colour classifier in fp32, named `colour`."""
    folder = tmp_path_factory.mktemp("server")
    publish_colour_model(folder / "repository", "colour")
    flags = ["--model_repository", str(folder / "repository"), "--precision", "fp32"]
    flags += ["--http_max_input_size", "1000000", "--max_pixels", "1000000"]
    with live_server(folder / "log", *flags) as running:
        yield running


@pytest.fixture
def http(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="session")
def three_tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreeTasks]:
    folder = tmp_path_factory.mktemp("three_tasks")
    repository = folder / "repository"
    publish_colour_model(repository, "colour")
    blocks = publish_segmenter(repository, "blocks", "segformer-tiny", 64)
    boxes = publish_detector(repository, "boxes", "detr-tiny", 64)
    flags = ["--model_repository", str(repository), "--precision", "fp32"]
    flags += ["--max_instances", "100000"]
    with live_server(folder / "log", *flags) as running:
        yield ThreeTasks(running, blocks, boxes)


@pytest.fixture(scope="session")
def png_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Ten random pictures of the model's size, whose decoding needs no resampling."""
    folder = tmp_path_factory.mktemp("pictures")
    files = [folder / f"{seed}.png" for seed in range(10)]
    for seed, file in enumerate(files):
        file.write_bytes(noise_png(seed))
    return files


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    """A receiver of traces, to which OpenTelemetry's variables point."""
    with trace_receiver() as got:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", got.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield got


@pytest.fixture(scope="session")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a container with a model of each task, and files of the trainer beside them.

    The models are `colour`, a classifier; `parts`, a segmenter; `boxes`, a detector.
    """
    folder = tmp_path_factory.mktemp("container")
    models = folder / "ml" / "model"
    publish_colour_model(models, "colour")
    publish_colour_segmenter(models, "parts")
    publish_colour_detector(models, "boxes")
    (models / "labels_info.json").write_text('{"labels": ["red", "green", "blue"]}')
    with container(folder) as server, server.client() as client:
        yield client
