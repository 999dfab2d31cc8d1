"""A bucket's models in a local folder, which is read as any repository is.

    objects --one listing--> models --what is wanted of one--> .fetch-* --rename--> NAME/VERSION

Each folder remembers the objects that it was made from in a hidden file, so what is here already,
also from a former process, is not fetched again. A version is fetched whole beside its place and
renamed; a reader of the folder never meets half of one. The price: the disk holds what is served.
"""

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from contract.bucket import Store
from contract.errors import BucketError
from contract.locations import Bucket, Location
from contract.objects import Entry, RemoteModel, group
from contract.repository import list_model_dirs, list_versions

_KNOWN_FILE: Final = ".objects.json"
_OWNER_FILE: Final = ".bucket"
_STAGING: Final = ".fetch-"
_SPARE_BYTES: Final = 64 << 20
"""Left free on the disk, for whatever else is written there."""


class Mirror:
    """The models of a bucket, as far as they are wanted.

    Args:
        bucket: Where they lie.
        folder: Where they are copied to; made if it does not exist.

    Raises:
        BucketError: The package that the bucket's scheme needs is not installed.
        OSError: The folder cannot be made.
    """

    def __init__(self, bucket: Bucket, folder: Path) -> None:
        self.bucket = bucket
        self.folder = folder
        self._store = Store(bucket, hasty=True)
        self._stopping = threading.Event()
        folder.mkdir(parents=True, exist_ok=True)

    def look(self) -> dict[str, RemoteModel]:
        """The models that lie in the bucket, by name.

        Raises:
            BucketError: It cannot be listed.
        """
        return group(self._store.list())

    def claim(self) -> None:
        """Make the folder this bucket's; what it holds of another is removed.

        Raises:
            BucketError: The disk refuses.
        """
        if self._owner() != self.bucket.url:
            with _disk(self.folder):
                self.keep_models(())
                (self.folder / _OWNER_FILE).write_text(self.bucket.url, encoding="utf-8")

    def held(self) -> list[str]:
        """The models with whole versions that are here of this bucket, from a former process too."""
        if self._owner() != self.bucket.url:
            return []
        return [path.name for path in list_model_dirs(self.folder) if list_versions(path)]

    def fetch_shared(self, model: RemoteModel) -> Path:
        """Copy what lies beside the versions, and forget what does not any more; the folder.

        Raises:
            BucketError: The bucket or the disk refuses.
        """
        folder = self.folder / model.name
        with _disk(folder):
            folder.mkdir(exist_ok=True)
            _remove_staging(folder)
            known = _read_known(folder)
            for path, entry in model.shared.items():
                if known.get(path) != entry:
                    self._fetch_file(f"{model.name}/{path}", entry, folder / path)
            for path in known.keys() - model.shared.keys():
                (folder / path).unlink(missing_ok=True)
            if known != model.shared:
                _write_known(folder, model.shared)
        return folder

    def fetch_versions(self, model: RemoteModel, wanted: Collection[int]) -> dict[int, str]:
        """Copy the wanted versions that are new or changed, each whole.

        Returns:
            Why a version could not be; what was here of it stays.
        """
        faults = {}
        for number in sorted(wanted):
            try:
                self._fetch_version(model, number)
            except BucketError as err:
                faults[number] = str(err)
        return faults

    def keep(self, model: str, wanted: Collection[int]) -> None:
        """Remove the copies of all other versions of a model."""
        for number in set(list_versions(self.folder / model)) - set(wanted):
            _remove(self.folder / model / str(number))

    def keep_models(self, names: Collection[str]) -> None:
        """Remove the copies of all other models."""
        for path in self.folder.iterdir():
            if path.is_dir() and path.name not in names and not path.name.startswith("."):
                shutil.rmtree(path, ignore_errors=True)

    def stop(self) -> None:
        """End a download that is under way."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether nothing more is to be copied."""
        return self._stopping.is_set()

    def _owner(self) -> str:
        try:
            return (self.folder / _OWNER_FILE).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""

    def _fetch_version(self, model: RemoteModel, number: int) -> None:
        files, target = model.versions[number], self.folder / model.name / str(number)
        with _disk(target):
            if target.is_dir() and _read_known(target) == files:
                return
            _check_space(target, sum(entry.size for entry in files.values()))
            staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=target.parent))
            try:
                staging.chmod(0o755)
                for path, entry in files.items():
                    self._fetch_file(f"{model.name}/{number}/{path}", entry, staging / path)
                _write_known(staging, files)
                _remove(target)
                staging.rename(target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def _fetch_file(self, key: str, entry: Entry, target: Path) -> None:
        """Copy an object to a file that appears whole.

        Raises:
            BucketError: It cannot be read, or changed since it was listed.
            OSError: The file cannot be written.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_STAGING, dir=target.parent)
        os.close(handle)
        staging = Path(name)
        try:
            self._store.download(key, staging, self._stopping)
            size = staging.stat().st_size
            if size != entry.size:
                where = f"{self.bucket}/{key}"
                raise BucketError("download", where, f"got {size} bytes, expected {entry.size}")
            staging.chmod(0o644)
            staging.replace(target)
        finally:
            staging.unlink(missing_ok=True)


@contextmanager
def local_copy(location: Location, name: str, version: int | None) -> Iterator[Path]:
    """A folder with the repository's model of that name: the repository's own, or a copy.

    Args:
        location: The repository.
        name: The model.
        version: The version to be copied; the newest if None.

    Raises:
        BucketError: There is no such version, or the bucket or the disk refuses.
    """
    if isinstance(location, Path):
        yield location
        return
    with tempfile.TemporaryDirectory(prefix="aperture-copy-") as folder:
        mirror = Mirror(location, Path(folder))
        model = mirror.look().get(name, RemoteModel(name))
        chosen = max(model.versions, default=0) if version is None else version
        if chosen not in model.versions:
            there = ", ".join(map(str, sorted(model.versions))) or "none"
            reason = f"no version {version or ''}".rstrip() + f"; published are {there}"
            raise BucketError("read", f"{location}/{name}", reason)
        mirror.fetch_shared(model)
        if faults := mirror.fetch_versions(model, {chosen}):
            raise BucketError("read", f"{location}/{name}", faults[chosen])
        yield Path(folder)


@contextmanager
def _disk(target: Path) -> Iterator[None]:
    """Say of the disk's failures what they kept from being copied."""
    try:
        yield
    except OSError as err:
        raise BucketError("copy to", str(target), err.strerror or str(err)) from err


def _check_space(target: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if needed_bytes + _SPARE_BYTES > free:
        raise BucketError(
            "copy to",
            str(target),
            f"it has {needed_bytes} bytes, and {max(0, free - _SPARE_BYTES)} bytes of that disk may "
            "be used; give a folder of a larger one (--bucket_cache_dir)",
        )


def _read_known(folder: Path) -> dict[str, Entry]:
    """The objects that a folder was made from; empty if it was made from none."""
    try:
        listed = json.loads((folder / _KNOWN_FILE).read_text(encoding="utf-8"))
        return {path: Entry(size, tag) for path, (size, tag) in listed.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}  # absent, or cut short by a crash: then it is all fetched anew


def _write_known(folder: Path, files: Mapping[str, Entry]) -> None:
    known = {path: [entry.size, entry.tag] for path, entry in files.items()}
    staging = folder / f"{_STAGING}{_KNOWN_FILE}"
    staging.write_text(json.dumps(known), encoding="utf-8")
    staging.replace(folder / _KNOWN_FILE)


def _remove(folder: Path) -> None:
    """Remove a folder so that no reader meets half of it."""
    if folder.is_dir():
        leaving = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder.parent))
        folder.rename(leaving / folder.name)
        shutil.rmtree(leaving, ignore_errors=True)


def _remove_staging(folder: Path) -> None:
    """Remove what a former process left half done."""
    for path in folder.glob(f"{_STAGING}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
