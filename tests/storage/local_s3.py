"""A real S3 server on loopback (moto's), KServe's storage initializer, and what tests ask of both."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import s3fs

from contract.bucket import Store
from contract.locations import Bucket
from tests.live_server import free_port, wait_for_url

ENVIRONMENT = Path(__file__).parents[2] / ".venv-storage"
PYTHON = ENVIRONMENT / "bin" / "python"
MOTO = ENVIRONMENT / "bin" / "moto_server"

_COPY = "import sys; from kserve_storage import Storage; Storage.download(*sys.argv[1:])"


@dataclass(frozen=True, slots=True)
class LocalS3:
    """A running S3 server.

    Attributes:
        url: Its endpoint.
        environ: The variables by which any client of S3 finds it.
    """

    url: str
    environ: Mapping[str, str]

    def bucket(self, name: str) -> Bucket:
        """A new bucket."""
        bucket = Bucket(f"s3://{name}/models")
        make_bucket(bucket)
        return bucket


def make_bucket(place: Bucket) -> None:
    """Make the bucket that a place is in."""
    fs, name = Store(place)._fs, place.url.split("/")[2]
    if not fs.exists(name):
        fs.mkdir(name)


@contextlib.contextmanager
def local_s3(folder: Path) -> Iterator[LocalS3]:
    """An empty S3 server."""
    port, log = free_port(), folder / "s3.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(MOTO), "-H", "127.0.0.1", "-p", str(port)], stdout=out, stderr=out
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for_url(f"{url}/moto-api/data.json", process, log)
        yield LocalS3(
            url,
            {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_DEFAULT_REGION": "us-east-1",
            },
        )
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextlib.contextmanager
def new_clients() -> Iterator[None]:
    """Clients that are made anew, from the environment of now; afterwards again."""
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        yield
    finally:
        s3fs.S3FileSystem.clear_instance_cache()


def initialise_storage(uri: str, folder: Path) -> None:
    """What KServe's storage initializer does before the server's container starts."""
    done = subprocess.run(
        [str(PYTHON), "-c", _COPY, uri, str(folder)],
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def keys(bucket: Bucket) -> set[str]:
    """The keys of all objects below the bucket's URL."""
    return set(Store(bucket).list())


def contents(bucket: Bucket) -> dict[str, bytes]:
    """All objects below the bucket's URL, by key."""
    store = Store(bucket)
    return {key: store.read(key) for key in store.list()}
