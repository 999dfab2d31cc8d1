"""model.tar.gz: a model repository's folder in one file, written and unpacked.

An archive comes from outside: only plain files and folders below the target are taken out of it, no
links and no devices, and no more of either than a model can have. Its sizes are checked before a
byte is written, and no read is larger than a header needs, so that the price of a hostile archive
is the time to read LARGEST bytes.
"""

import gzip
import os
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Final

from contract.errors import OptionsError, RepositoryError
from trainer.errors import ArchiveError
from trainer.files import check_folder_writable

LARGEST: Final = 32 << 30
"""Bytes that an archive may hold unpacked."""
MOST_MEMBERS: Final = 10_000

_LARGEST_READ: Final = 1 << 20
_COMPRESSION: Final = 1  # weights hardly get smaller; more takes minutes of a large model


def check_archive(folder: Path, archive: Path) -> None:
    """Refuse a place that the archive of a folder cannot be written to; nothing of it is changed.

    Raises:
        OptionsError: It is a folder, is of what the archive is to hold, or nothing can be written
            beside it.
    """
    if archive.resolve().is_relative_to(folder.resolve()):
        raise OptionsError(
            [
                f"archive: got {archive}, which lies in {folder}, all of which is packed; expected a "
                "path outside of it"
            ]
        )
    if archive.is_dir():
        raise OptionsError([f"archive: got {archive}, which is a folder; expected a file's path"])
    try:
        check_folder_writable(archive.parent)
    except RepositoryError as err:
        raise OptionsError([f"archive: got {archive}, but {err}"]) from err


def write_archive(folder: Path, archive: Path) -> None:
    """Write what lies in a folder, its hidden files left out, so that a reader sees all or nothing.

    Raises:
        OSError: The archive cannot be written.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=archive.parent, prefix=f".{archive.name}.", delete=False
    ) as staging:
        try:
            with tarfile.open(
                fileobj=staging, mode="w:gz", compresslevel=_COMPRESSION, format=tarfile.PAX_FORMAT
            ) as tar:
                for path in sorted(folder.iterdir()):
                    tar.add(path, path.name, filter=_plain)
            staging.flush()
            os.fsync(staging.fileno())
        except BaseException:
            Path(staging.name).unlink()
            raise
    Path(staging.name).chmod(0o644)
    Path(staging.name).replace(archive)


def unpack_archive(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder that appears when it is whole.

    Raises:
        ArchiveError: It is no archive, is cut short, or holds what it may not.
        OSError: The folder cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as staging:
        _extract(archive, Path(staging) / folder.name)
        (Path(staging) / folder.name).rename(folder)


def _extract(archive: Path, folder: Path) -> None:
    folder.mkdir()
    try:
        with _Bounded(archive) as unzipped, tarfile.open(fileobj=unzipped) as tar:
            total = 0
            for count, member in enumerate(tar, start=1):
                total += member.size
                _check(archive, member, count, total)
                tar.extract(member, folder, filter="data")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as err:
        raise ArchiveError(archive, str(err) or type(err).__name__) from err


class _Bounded(gzip.GzipFile):
    """A zipped file for tarfile to read, which refuses to give a great deal at once.

    A header may declare a name of any length, and tarfile reads it into memory.
    """

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes."""
        if size is None or not 0 <= size <= _LARGEST_READ:
            raise ValueError(f"a header of {size} bytes")
        return super().read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte, reading up to it."""
        if offset > LARGEST + MOST_MEMBERS * _LARGEST_READ:
            raise ValueError(f"more than {LARGEST >> 30} GiB")
        return super().seek(offset, whence)


def _check(archive: Path, member: tarfile.TarInfo, count: int, total: int) -> None:
    if member.issparse() or not (member.isreg() or member.isdir()):
        raise ArchiveError(archive, f"{member.name!r} is neither a plain file nor a folder")
    if count > MOST_MEMBERS:
        raise ArchiveError(archive, f"holds more than {MOST_MEMBERS} files and folders")
    if total > LARGEST:
        raise ArchiveError(archive, f"holds more than {LARGEST >> 30} GiB")


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """A member without its owner; nothing of a hidden file, which is half of something."""
    if Path(member.name).name.startswith("."):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member
