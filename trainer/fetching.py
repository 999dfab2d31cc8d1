"""Objects that are named by their URLs -> files, several at once.

As in `copying`, a download is mostly waiting, files appear whole, and the threads are daemons, so
that nobody waits for a network that has stalled. Here nothing is listed: a manifest may name a few
objects of a bucket of millions. A file that is there already is the object of a former start of the
same training; whether the object has changed since is not asked.
"""

import fcntl
import logging
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contract.bucket import Store
from contract.errors import BucketError
from contract.locations import Bucket
from trainer.copying import AT_ONCE
from trainer.transfers import at_work

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


@dataclass(frozen=True, slots=True)
class _Fetches:
    """What the threads share.

    Attributes:
        stores: The buckets by name.
        todo: URLs to be fetched, and where to.
        done: None for each of those that were, or what went wrong.
        stop: Ends the threads.
    """

    stores: Mapping[str, Store]
    todo: "queue.SimpleQueue[tuple[str, Path]]" = field(default_factory=queue.SimpleQueue)
    done: "queue.SimpleQueue[BaseException | None]" = field(default_factory=queue.SimpleQueue)
    stop: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """Fetch one object after the other, each beside its path first."""
        while not self.stop.is_set():
            try:
                url, path = self.todo.get_nowait()
            except queue.Empty:
                return
            bucket, key = _parts(url)
            part = path.with_suffix(".part")
            try:
                self.stores[bucket].fetch(key, part, self.stop)
                part.replace(path)
            except BaseException as err:  # whoever waits raises it
                self.done.put(err)
                return
            self.done.put(None)


def _fetch_all(missing: Mapping[str, Path], at_once: int) -> None:
    buckets = {bucket for bucket, _ in map(_parts, missing)}
    fetches = _Fetches({bucket: Store(Bucket(f"s3://{bucket}")) for bucket in buckets})
    for item in missing.items():
        fetches.todo.put(item)
    with at_work([fetches.work] * min(at_once, len(missing)), fetches.stop):
        for _ in missing:
            if (err := fetches.done.get()) is not None:
                raise err


def _parts(url: str) -> tuple[str, str]:
    """Bucket and key of s3://BUCKET/KEY."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key
