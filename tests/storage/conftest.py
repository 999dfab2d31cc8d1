from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.marks import mark_folder
from tests.storage.local_s3 import ENVIRONMENT, MOTO, LocalS3, local_s3, new_clients


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder; where there is no S3 server, skip them."""
    reason = f"no S3 server in {ENVIRONMENT.name}; `make storage` installs it"
    missing = "" if MOTO.exists() else reason
    mark_folder(items, Path(__file__).parent, pytest.mark.storage, missing)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalS3]:
    """An S3 server, which this process and its children find by the environment."""
    with (
        local_s3(tmp_path_factory.mktemp("s3")) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in server.environ.items():
            patch.setenv(name, value)
        with new_clients():
            yield server
