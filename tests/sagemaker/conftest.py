from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live_server import LiveServer, live_server
from tests.marks import mark_folder
from tests.repositories import break_version
from tests.sagemaker.failing_model import publish_failing_model
from tests.sagemaker.runtime import ENVIRONMENT, PYTHON, Runtime, runtime
from tests.tiny_detector import publish_colour_detector
from tests.tiny_models import publish_colour_model
from tests.tiny_segmenter import publish_colour_segmenter


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder; where there is no boto3, skip them."""
    reason = f"no boto3 in {ENVIRONMENT.name}; `make sagemaker` installs it"
    missing = "" if PYTHON.exists() else reason
    mark_folder(items, Path(__file__).parent, pytest.mark.sagemaker, missing)


@dataclass(frozen=True, slots=True)
class Served:
    """A server of a model of each task, and boto3's client of it.

    The models are `colour`, a classifier of two versions; `parts`, a segmenter; `boxes`, a detector;
    `failing`, each run of which fails; and `broken`, which cannot be loaded.
    """

    server: LiveServer
    client: Runtime


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("sagemaker")
    repository = folder / "repository"
    for _ in range(2):
        colour = publish_colour_model(repository, "colour")
    config = colour / "config.pbtxt"
    config.write_text(config.read_text() + "\nversion_policy { all {} }\n")
    publish_colour_segmenter(repository, "parts")
    publish_colour_detector(repository, "boxes")
    publish_failing_model(repository, "failing")
    break_version(repository / "broken", 1)
    flags = ["--model_repository", str(repository), "--provider=cpu", "--strict_readiness=false"]
    flags += ["--http_max_input_size=100000"]
    with live_server(folder / "log", *flags) as server, runtime(server.url) as client:
        yield Served(server, client)
