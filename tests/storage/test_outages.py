"""A bucket that does not answer, or is away: how a server starts, serves and ends meanwhile."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from contract import bucket as bucket_module
from contract.bucket import Store
from contract.errors import BucketError
from contract.locations import Bucket
from contract.mirror import Mirror
from server.bucket_source import open_bucket
from server.errors import LoadError
from server.repository import Control
from server.runtime import Runtime
from server.watcher import Watcher
from tests.live_server import start_server, wait_for, wait_until
from tests.repositories import states
from tests.storage.local_s3 import LocalS3, new_clients
from tests.storage.served_bucket import look, served_bucket
from tests.tiny_models import publish_colour

NOBODY = "http://127.0.0.1:9"


class SilentStore:
    """Accepts connections and never answers.

    Attributes:
        url: Where it listens.
        connections: Those that it holds.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        """Hang up on all."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for connection in self.connections:
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.connections.append(self._listener.accept()[0])


@pytest.fixture
def silent(s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentStore]:
    store = SilentStore()
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
    with new_clients():
        yield store
    with contextlib.suppress(OSError):
        store.close()


def test_a_server_at_a_silent_bucket_listens_and_ends_when_told(
    silent: SilentStore, tmp_path: Path
) -> None:
    flags = ["--model_repository", "s3://silent/models", "--bucket_cache_dir", str(tmp_path / "c")]
    server = start_server(tmp_path / "log", "--shutdown_delay", "0", *flags)
    try:
        wait_for(server, "/v2/health/live")
        wait_until(lambda: bool(silent.connections))
        assert httpx.get(server.url + "/v2/health/ready").status_code != 200
        assert server.stop() == 0
    finally:
        server.process.kill()
        server.process.wait()
    log = server.log.read_text()
    assert "looking at the bucket repository=s3://silent/models" in log
    assert "its load is given up" in log, "the process did not wait for the look"


def test_a_silent_bucket_is_given_up_after_few_tries(
    silent: SilentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bucket_module._OPTIONS, "read_timeout", 0.2)
    with pytest.raises(BucketError, match="cannot list s3://silent/models"):
        Mirror(Bucket("s3://silent/models"), tmp_path).look()
    assert len(silent.connections) == bucket_module._HASTY_TRIES**2


def test_a_folder_is_locked_until_nobody_writes_into_it(
    silent: SilentStore, tmp_path: Path
) -> None:
    bucket = Bucket("s3://silent/models")
    source = open_bucket(bucket, tmp_path)
    failed = threading.Event()

    def first_look() -> None:
        with pytest.raises(LoadError):
            source.folders()
        failed.set()

    thread = threading.Thread(target=first_look)
    thread.start()
    wait_until(lambda: bool(silent.connections))
    source.stop()
    with pytest.raises(LoadError, match="in use by another server"):
        open_bucket(bucket, tmp_path)
    silent.close()
    thread.join()
    assert failed.is_set()
    with pytest.raises(LoadError, match="the server is stopping"):
        source.folders()
    open_bucket(bucket, tmp_path).stop()


def test_a_kept_copy_is_served_while_the_bucket_is_away(
    s3: LocalS3,
    tmp_path: Path,
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bucket = s3.bucket("away")
    publish_colour(bucket)

    async def run() -> None:
        async with served_bucket(bucket, tmp_path, runtime, Control()):
            pass
        with monkeypatch.context() as away, new_clients():
            away.setenv("AWS_ENDPOINT_URL", NOBODY)
            async with served_bucket(bucket, tmp_path, runtime, Control("poll")) as served:
                assert states(served) == {"m 1": "READY"}
                assert served.ready
                assert f"served is what {tmp_path} keeps of it: m" in caplog.text
                watcher = Watcher(served, poll_s=1)
                await look(watcher, times=1)
                assert "what serves goes on" in caplog.text
                away.undo()
                with new_clients():
                    publish_colour(bucket, 32)
                    away.setattr(served.source.mirror, "_store", Store(bucket))  # type: ignore[attr-defined]
                    await look(watcher)
                assert served.find("m").version().number == 2

    asyncio.run(run())


def test_a_copy_of_another_bucket_is_not_served(
    s3: LocalS3, tmp_path: Path, runtime: Runtime
) -> None:
    bucket, other = s3.bucket("first-bucket"), s3.bucket("second-bucket")
    publish_colour(bucket)

    async def run() -> None:
        async with served_bucket(bucket, tmp_path, runtime, Control()):
            pass
        source = open_bucket(Bucket("s3://absent-bucket/models"), tmp_path)
        with pytest.raises(LoadError, match="cannot list"):
            source.folders()
        source.stop()
        async with served_bucket(other, tmp_path, runtime, Control()) as served:
            assert states(served) == {}
        assert not (tmp_path / "m").exists()

    asyncio.run(run())
