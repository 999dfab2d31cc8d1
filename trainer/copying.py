"""Objects of a bucket -> files below a folder, several at once.

    FOLDER/data/      the files, which are the dataset
    FOLDER/objects    a line for each file: the object that it was fetched from
    FOLDER/parts/     what is under way

Objects are small, so a download is mostly waiting; 16 wait at once. A file appears whole, by a rename,
and its line is written after that: what a killed copy had done is not fetched again. The price is
that each file is written whole to the disk before the first is read.
"""

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Final

from contract.bucket import Store
from contract.errors import BucketError
from contract.objects import Entry
from trainer.copy_plan import CopyPlan, plan_copy
from trainer.transfers import fetched

DATA_FOLDER: Final = "data"
AT_ONCE: Final = 16

_OBJECTS_FILE: Final = "objects"
_PARTS_FOLDER: Final = "parts"
_REPORT_SECONDS: Final = 10.0
_SPARE_BYTES: Final = 64 << 20
"""Left free on the disk, for whatever else is written there."""

logger = logging.getLogger(__name__)


def plan(folder: Path, objects: Mapping[str, Entry]) -> CopyPlan:
    """What a folder lacks of being a copy of the objects.

    Raises:
        OSError: It cannot be read.
    """
    return plan_copy(objects, _read_known(folder), _sizes(folder / DATA_FOLDER))


def copy(store: Store, folder: Path, objects: Mapping[str, Entry], at_once: int = AT_ONCE) -> None:
    """Make a folder's data/ a copy of the objects: fetch what is new or changed, remove the rest.

    Raises:
        BucketError: The bucket or the disk refuses.
    """
    try:
        data, wanted = folder / DATA_FOLDER, plan(folder, objects)
        shutil.rmtree(folder / _PARTS_FOLDER, ignore_errors=True)
        for made in (data, folder / _PARTS_FOLDER):
            made.mkdir(parents=True, exist_ok=True)
        _check_space(folder, wanted)
        logger.info(
            "event=copy source=%s folder=%s objects=%d new=%d megabytes=%.1f removed=%d",
            *(store.bucket, folder, len(objects), len(wanted.fetch)),
            *(wanted.size / 1e6, len(wanted.remove)),
        )
        _remove(data, wanted)
        _fetch_all(store, folder, wanted, at_once)
        _write_known(folder, objects)
        shutil.rmtree(folder / _PARTS_FOLDER, ignore_errors=True)
    except OSError as err:
        raise BucketError("copy to", str(folder), err.strerror or str(err)) from err


def _fetch_all(store: Store, folder: Path, wanted: CopyPlan, at_once: int) -> None:
    parts = [folder / _PARTS_FOLDER / str(n) for n in range(min(at_once, len(wanted.fetch)))]
    fetches = [partial(_fetch, store, folder, part) for part in parts]
    with (
        fetched(wanted.fetch.items(), fetches) as done,
        (folder / _OBJECTS_FILE).open("a", encoding="utf-8") as journal,
    ):
        _follow(wanted, store.bucket.url, done, journal)


def _fetch(
    store: Store, folder: Path, part: Path, wanted: tuple[str, Entry], stop: threading.Event
) -> None:
    """Fetch an object, to `part` first.

    Raises:
        BucketError: The bucket refuses, or has another object of that key by now.
    """
    key, entry = wanted
    store.fetch(key, part, stop)
    if (size := part.stat().st_size) != entry.size:
        reason = f"got {size} bytes, expected {entry.size}; it changed meanwhile, start anew"
        raise BucketError("download", f"{store.bucket}/{key}", reason)
    target = folder / DATA_FOLDER / key
    target.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target)


def _follow(
    wanted: CopyPlan, url: str, done: Iterable[tuple[str, Entry]], journal: IO[str]
) -> None:
    """Note what is done, and say so now and then."""
    count, size, said = 0, 0, time.monotonic()
    for key, entry in done:
        journal.write(_line(key, entry))
        journal.flush()
        count, size = count + 1, size + entry.size
        if time.monotonic() - said > _REPORT_SECONDS:
            said = time.monotonic()
            logger.info(
                "event=copying source=%s objects=%d/%d megabytes=%.1f/%.1f",
                *(url, count, len(wanted.fetch), size / 1e6, wanted.size / 1e6),
            )


def _check_space(folder: Path, wanted: CopyPlan) -> None:
    usable = max(0, shutil.disk_usage(folder).free - _SPARE_BYTES)
    if wanted.disk_bytes > usable:
        raise BucketError(
            "copy to",
            str(folder),
            f"the dataset needs {wanted.disk_bytes} bytes, and {usable} bytes of that disk may be "
            "used; give a folder of a larger one (--data_cache_dir)",
        )


def _remove(data: Path, wanted: CopyPlan) -> None:
    """Remove the files of former objects, and folders that hold nothing any more."""
    for path in wanted.remove:
        (data / path).unlink()
    for folder, _, _ in os.walk(data, topdown=False):
        if Path(folder) != data:
            with suppress(OSError):  # it holds something
                Path(folder).rmdir()


def _sizes(data: Path) -> dict[str, int]:
    """The size of each file below a folder, by its path from there."""
    return {str(file.relative_to(data)): file.stat().st_size for file in _files(data)}


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent) / name


def _line(key: str, entry: Entry) -> str:
    return json.dumps([key, entry.size, entry.tag]) + "\n"


def _read_known(folder: Path) -> dict[str, Entry]:
    """The objects that the files were fetched from; a line that a crash cut short does not count."""
    known = {}
    try:
        lines = (folder / _OBJECTS_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        try:
            key, size, tag = json.loads(line)
        except (ValueError, TypeError):
            continue
        known[key] = Entry(size, tag)
    return known


def _write_known(folder: Path, objects: Mapping[str, Entry]) -> None:
    staging = folder / _PARTS_FOLDER / _OBJECTS_FILE
    text = "".join(_line(key, entry) for key, entry in objects.items())
    staging.write_text(text, encoding="utf-8")
    staging.replace(folder / _OBJECTS_FILE)
