"""A named pipe (FIFO) -> a file with all that came through it: SageMaker's Pipe mode.

A training here reads every picture before it begins, and again in each epoch, in an order of its
own; a pipe can be read once and in its order. So the stream of the first epoch is written to the
disk and read from there: a run costs the disk that the data take, but the store is asked once, not
once an epoch. The file appears whole, by a rename. Of the processes of a node the first one that
comes reads the pipe, and the others wait for its lock.
"""

import fcntl
import logging
import shutil
from pathlib import Path
from typing import Final

from trainer.errors import DatasetError

_CHUNK_BYTES: Final = 4 << 20

logger = logging.getLogger(__name__)


def spool(pipe: Path, target: Path) -> Path:
    """Have at `target` what comes through `pipe` until its writer closes it; returns `target`.

    Raises:
        DatasetError: There is no pipe, nothing comes through it, or the disk refuses.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            logger.info("event=spooled_before pipe=%s file=%s", pipe, target)
        else:
            _write(pipe, target)
    return target


def _write(pipe: Path, target: Path) -> None:
    part = target.with_suffix(".part")
    try:
        with pipe.open("rb") as source, part.open("wb") as file:
            shutil.copyfileobj(source, file, _CHUNK_BYTES)
        if (size := part.stat().st_size) == 0:
            raise DatasetError(f"{pipe}: nothing came through the pipe; expected RecordIO records")
        part.replace(target)
    except OSError as err:
        raise DatasetError(f"{pipe}: cannot be copied to {target}: {err.strerror}") from err
    logger.info("event=spooled pipe=%s file=%s megabytes=%.1f", pipe, target, size / 1e6)
