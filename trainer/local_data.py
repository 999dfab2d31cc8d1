"""Where a command's `--data` lies -> a local folder with it, for as long as the command needs it.

A folder is itself. A dataset in a bucket is copied first, into a temporary folder that goes with the
command, or into --data_cache_dir, where the next command copies only what changed. Of the processes
of a node the first one copies; the others wait for its lock, not in a collective call, whose
timeout is shorter than the copy of a large dataset.
"""

import fcntl
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

from contract.bucket import Store
from contract.errors import BucketError, ContractError
from contract.locations import Bucket, Location
from contract.objects import Entry
from trainer.copy_plan import key_faults
from trainer.copying import DATA_FOLDER, copy, plan
from trainer.errors import DatasetError, TrainerError, listed
from trainer.processes import ALONE, Processes

_LOCK_FILE: Final = "lock"

logger = logging.getLogger(__name__)


@contextmanager
def local_data(
    data: Location, cache_dir: Path | None, processes: Processes = ALONE
) -> Iterator[Path]:
    """A local folder with the dataset; errors in the block name files by where `data` lies.

    Args:
        data: Where the dataset lies.
        cache_dir: Where to keep copies of datasets in buckets; None for a temporary folder.
        processes: Those that need it; all of them call this.

    Raises:
        BucketError: The bucket or the disk refuses.
        DatasetError: No object lies there, or keys are no paths.
        OSError: The folder cannot be made or locked.
    """
    if isinstance(data, Path):
        yield data
        return
    with _temporary(cache_dir, processes) as folder:
        place = folder / _name_of(data)
        with _copied(data, place, processes):
            try:
                yield place / DATA_FOLDER
            except (ContractError, TrainerError) as err:
                _name_places(err, str(place / DATA_FOLDER), data.url)
                raise


@contextmanager
def _temporary(cache_dir: Path | None, processes: Processes) -> Iterator[Path]:
    """The folder of copies, the same for all processes of a node."""
    if cache_dir is not None:
        yield cache_dir
        return
    own = tempfile.mkdtemp(prefix="aperture-data-") if processes.leads_node else ""
    try:
        yield Path(processes.gather([own])[processes.index - processes.local_index])
    finally:
        if own:
            shutil.rmtree(own, ignore_errors=True)


@contextmanager
def _copied(bucket: Bucket, place: Path, processes: Processes) -> Iterator[None]:
    """Have a copy at `place`, and keep others from changing it in the block."""
    with _open_lock(place, processes) as (lock, is_ours):
        problems: list[str] = []
        try:
            if processes.leads_node:
                _copy(bucket, place, lock, is_ours=is_ours)
            else:
                fcntl.flock(lock, fcntl.LOCK_SH)
        except (ContractError, DatasetError) as err:
            fcntl.flock(lock, fcntl.LOCK_UN)
            problems = str(err).splitlines()
            if processes.count == 1:
                raise
        # What any process failed at, the main one says.
        if problems := sorted(set(processes.gather(problems))):
            raise DatasetError(*problems)
        yield


@contextmanager
def _open_lock(place: Path, processes: Processes) -> Iterator[tuple[IO[str], bool]]:
    """The lock's file, and whether this process, a node's first one, holds the lock alone."""
    if processes.leads_node:
        place.mkdir(parents=True, exist_ok=True)
    else:
        processes.gather([None])  # until the first ones hold their locks
    with (place / _LOCK_FILE).open("a", encoding="utf-8") as lock:
        is_ours = processes.leads_node and _try_lock(lock)
        if processes.leads_node:
            processes.gather([None])
        yield lock, is_ours


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _copy(bucket: Bucket, place: Path, lock: IO[str], *, is_ours: bool) -> None:
    """Make `place` a copy of what lies in the bucket now, and let others read it."""
    store = Store(bucket)
    objects = _listed(store)
    if not is_ours:
        logger.info("event=waiting reason=copied_by_another_command folder=%s", place)
        fcntl.flock(lock, fcntl.LOCK_SH)
        if not plan(place, objects):
            return
        if not _try_lock(lock):
            reason = (
                f"{bucket} changed, and another command reads the former copy; wait for that, or "
                "give another --data_cache_dir"
            )
            raise BucketError("copy to", str(place), reason)
    copy(store, place, objects)
    fcntl.flock(lock, fcntl.LOCK_SH)


def _listed(store: Store) -> dict[str, Entry]:
    """The objects of a dataset, whose keys are paths.

    Raises:
        BucketError: The bucket cannot be listed.
        DatasetError: There are none, or keys are no paths.
    """
    objects = store.list()
    if not objects:
        raise DatasetError(
            f"{store.bucket}: no objects lie below it; expected the folders and files of a "
            "dataset, such as train/ and validation/"
        )
    if faults := [f"{store.bucket}: key {fault}" for fault in key_faults(objects)]:
        raise DatasetError(*listed(faults))
    return objects


def _name_of(bucket: Bucket) -> str:
    """A folder's name for the copy of a dataset: its own last name, and what tells it from others."""
    last = re.sub(r"[^A-Za-z0-9._-]", "_", bucket.url.rpartition("/")[2])[:80].lstrip(".")
    return f"{last}-{sha256(bucket.url.encode()).hexdigest()[:8]}"


def _name_places(err: ContractError | TrainerError, folder: str, url: str) -> None:
    """Let an error name files by where they lie for the user."""
    err.args = tuple(arg.replace(folder, url) if isinstance(arg, str) else arg for arg in err.args)
    if isinstance(err, TrainerError):
        err.faults = tuple(line.replace(folder, url) for line in err.faults)
        err.advice = err.advice.replace(folder, url)
