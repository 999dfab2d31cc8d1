"""Objects that are named by their URLs -> files, several at once.

As in `copying`, files appear whole. Here nothing is listed: a manifest may name a few objects of a
bucket of millions. A file that is there already is the object of a former start of the
same training; whether the object has changed since is not asked.
"""

import fcntl
import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from contract.bucket import Store
from contract.errors import BucketError
from contract.locations import Bucket
from trainer.copying import AT_ONCE
from trainer.transfers import fetched

logger = logging.getLogger(__name__)


def fetch_objects(wanted: Mapping[str, Path], workspace: Path, at_once: int = AT_ONCE) -> None:
    """Have each object of `wanted`, s3://BUCKET/KEY, at its path.

    Of the processes of a node the first one that comes fetches; the others wait for its lock.

    Raises:
        BucketError: An object cannot be read, or the disk refuses.
    """
    if not wanted:
        return
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        with (workspace / "objects.lock").open("a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            missing = {url: path for url, path in wanted.items() if not path.exists()}
            for folder in {path.parent for path in missing.values()}:
                folder.mkdir(parents=True, exist_ok=True)
            logger.info("event=fetch objects=%d new=%d", len(wanted), len(missing))
            _fetch_all(missing, at_once)
    except OSError as err:
        raise BucketError("fetch to", str(workspace), err.strerror or str(err)) from err


def _fetch_all(missing: Mapping[str, Path], at_once: int) -> None:
    buckets = {bucket for bucket, _ in map(_parts, missing)}
    stores = {bucket: Store(Bucket(f"s3://{bucket}")) for bucket in buckets}

    def fetch(url: str, stop: threading.Event) -> None:
        bucket, key = _parts(url)
        part = missing[url].with_suffix(".part")
        stores[bucket].fetch(key, part, stop)
        part.replace(missing[url])

    with fetched(missing, [fetch] * min(at_once, len(missing))) as done:
        for _ in done:
            pass


def _parts(url: str) -> tuple[str, str]:
    """Bucket and key of s3://BUCKET/KEY."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key
