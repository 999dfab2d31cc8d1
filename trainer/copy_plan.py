"""The objects of a dataset in a bucket -> what a copy of them needs: pure decisions.

objects now in the bucket, objects that the folder was filled from --> what to fetch, what to remove
keys --> the ones that are no path below a folder
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from contract.objects import Entry

_LONGEST_NAME_BYTES: Final = 255
_BLOCK_BYTES: Final = 4096
"""What a file takes of a disk is a multiple of this."""


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """What turns a folder into a copy of the objects.

    Attributes:
        fetch: The objects that are new or changed, by key.
        remove: Files of former objects, by path below the folder.
    """

    fetch: Mapping[str, Entry]
    remove: frozenset[str]

    @property
    def size(self) -> int:
        """Bytes to be fetched."""
        return sum(entry.size for entry in self.fetch.values())

    @property
    def disk_bytes(self) -> int:
        """Bytes that these take of a disk."""
        return sum(-(-entry.size // _BLOCK_BYTES) * _BLOCK_BYTES for entry in self.fetch.values())

    def __bool__(self) -> bool:
        return bool(self.fetch or self.remove)


def plan_copy(
    objects: Mapping[str, Entry], known: Mapping[str, Entry], sizes: Mapping[str, int]
) -> CopyPlan:
    """What is to be done.

    Args:
        objects: What lies in the bucket, by key.
        known: What the files in the folder were fetched from.
        sizes: The files that are in the folder, and their sizes in bytes.
    """
    fetch = {
        key: entry
        for key, entry in objects.items()
        if known.get(key) != entry or sizes.get(key) != entry.size
    }
    return CopyPlan(fetch, frozenset(sizes.keys() - objects.keys()))


def key_faults(keys: Iterable[str]) -> Iterator[str]:
    """Why keys cannot all be files below one folder, a line for each that cannot."""
    present = set(keys)
    for key in sorted(present):
        if reason := _why_no_path(key):
            yield f"{key!r}: {reason}"
        elif inside := next((p for p in _parents(key) if p in present), None):
            yield f"{key!r}: below {inside!r}, which is an object itself and so no folder"


def _parents(key: str) -> Iterator[str]:
    end = key.find("/")
    while end > 0:
        yield key[:end]
        end = key.find("/", end + 1)


def _why_no_path(key: str) -> str:
    """Why a key is no path below a folder; empty for one that is."""
    parts = key.split("/")
    if "\0" in key:
        return "holds a NUL"
    if ".." in parts:
        return "leads out of the dataset"
    if key != str(PurePosixPath(key)) or key.startswith("/"):
        return "no path: parts are empty or '.'"
    if any(len(part.encode("utf-8", "surrogateescape")) > _LONGEST_NAME_BYTES for part in parts):
        return f"a part is longer than {_LONGEST_NAME_BYTES} bytes"
    return ""
