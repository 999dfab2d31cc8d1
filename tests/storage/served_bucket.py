"""A bucket served in this process, one look after the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from contract.locations import Bucket
from server.bucket_source import open_bucket
from server.repository import Control, Repository
from server.runtime import Runtime
from server.watcher import Watcher


@asynccontextmanager
async def served_bucket(
    bucket: Bucket, cache: Path, runtime: Runtime, control: Control
) -> AsyncIterator[Repository]:
    """A started repository over a bucket, in this process."""
    source = await asyncio.to_thread(open_bucket, bucket, cache)
    served = Repository(source, runtime, control)
    await served.start()
    try:
        yield served
    finally:
        await served.stop()


async def look(watcher: Watcher, times: int = 2) -> None:
    """Look at the repository; what is new is loaded at the second look."""
    for _ in range(times):
        await watcher.look()
