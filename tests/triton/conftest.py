import contextlib
import mmap
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from server.shared_memory import FOLDER
from tests.live_server import LiveServer, live_server
from tests.marks import mark_folder
from tests.triton.models import write_models
from tests.triton.reference import BINARY, ENVIRONMENT, live_triton
from tests.triton.rest_settings import MEMORY
from tests.triton.trained import publish_trained


@dataclass(frozen=True, slots=True)
class Pair:
    """Two servers of equal repositories: the real tritonserver, and ours."""

    triton: LiveServer
    ours: LiveServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder; where there is no tritonserver, skip them."""
    reason = f"no tritonserver in {ENVIRONMENT.name}; on Linux x86-64 `make triton` installs it"
    missing = "" if BINARY.exists() else reason
    mark_folder(items, Path(__file__).parent, pytest.mark.triton, missing)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of a model of each task, as the trainer published it."""
    repository = tmp_path_factory.mktemp("trained") / "repository"
    publish_trained(repository)
    return repository


@contextlib.contextmanager
def shared_file() -> Iterator[None]:
    """There is the file that cases register as shared memory."""
    file = FOLDER / MEMORY.removeprefix("/")
    file.write_bytes(bytes(2 * mmap.PAGESIZE))
    try:
        yield
    finally:
        file.unlink()


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Iterator[Pair]:
    """Both servers, in explicit mode, with every model loaded."""
    folder = tmp_path_factory.mktemp("pair")
    for name in ("triton", "ours"):
        shutil.copytree(trained, folder / name)
        write_models(folder / name)
    flags = ["--model-control-mode=explicit", "--load-model=*"]
    ours = ["--model-repository", str(folder / "ours"), "--server-name=triton"]
    ours += [*flags, "--allow-shared-memory=true", "--provider=cpu", "--precision=fp32"]
    with (
        shared_file(),
        live_triton(folder, folder / "triton", *flags, "--id=triton") as triton,
        live_server(folder / "log", *ours) as running,
    ):
        yield Pair(triton, running)
