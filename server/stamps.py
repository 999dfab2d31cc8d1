"""Stamps of a model's files: equal while the files are the same, another after a change.

Small text files are stamped by content, because publishing a version rewrites config.pbtxt and
labels.txt as they were; others by size and the times of change of their content and of their entry,
since cp -a and archives give the former the time that they like. Hidden files do not count, nor do
folders beside the versions, so a cache may lie there.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from server.sources import ModelFolder

FileStamp: TypeAlias = tuple[str, int, tuple[int, int] | str]
Stamp: TypeAlias = tuple[FileStamp, ...]
"""Relative path, size, and times of change or content's hash of each file, sorted."""

_TEXT_SUFFIXES: Final = (".pbtxt", ".txt")
_MOST_HASHED_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelStamp:
    """The stamp of a model's folder.

    Attributes:
        shared: Of config.pbtxt, labels and whatever else lies beside the version folders.
        versions: Of each version folder, ascending.
    """

    shared: Stamp
    versions: tuple[tuple[int, Stamp], ...]

    def by_version(self) -> Mapping[int, "VersionStamp"]:
        """What each version is made from."""
        return {number: (self.shared, stamp) for number, stamp in self.versions}


VersionStamp: TypeAlias = tuple[Stamp, Stamp]


def stamp_model(folder: ModelFolder) -> ModelStamp:
    """Look at a model's files.

    Raises:
        OSError: The folder left, or changed, while it was looked at.
    """
    shared = sorted(
        _stamp_file(entry.name, Path(entry.path))
        for entry in os.scandir(folder.path)
        if entry.is_file() and not entry.name.startswith(".")
    )
    if folder.trouble:
        shared.append(_stamp_fault(folder.trouble))
    versions = folder.versions() if folder.bare_file is None else []
    stamped = [(number, _stamp_version(folder, number)) for number in versions]
    return ModelStamp(tuple(shared), tuple(stamped or [(one, ()) for one in folder.versions()]))


def _stamp_version(folder: ModelFolder, number: int) -> Stamp:
    if number in folder.faults:
        return (_stamp_fault(folder.faults[number]),)
    return _stamp_tree(folder.version_dir(number))


def _stamp_fault(reason: str) -> FileStamp:
    return "fault", 0, reason


def _stamp_tree(folder: Path) -> Stamp:
    return tuple(
        sorted(_stamp_file(str(path.relative_to(folder)), path) for path in _files(folder))
    )


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent) / name for name in names if not name.startswith("."))


def _raise(err: OSError) -> None:
    raise err


def _stamp_file(name: str, path: Path) -> FileStamp:
    status = path.stat()
    if name.endswith(_TEXT_SUFFIXES) and status.st_size <= _MOST_HASHED_BYTES:
        return name, status.st_size, hashlib.sha256(path.read_bytes()).hexdigest()
    return name, status.st_size, (status.st_mtime_ns, status.st_ctime_ns)
