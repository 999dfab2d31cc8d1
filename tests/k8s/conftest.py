from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.local_s3 import ENVIRONMENT, MOTO, LocalS3, local_s3, new_clients


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalS3]:
    """An S3 server, which this process and its children find by the environment."""
    if not MOTO.exists():
        pytest.skip(f"no S3 server in {ENVIRONMENT.name}; `make storage` installs it")
    with local_s3(tmp_path) as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        with new_clients():
            yield server
