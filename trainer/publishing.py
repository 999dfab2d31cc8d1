"""Publishing a model into a repository, wherever that lies: a folder, or a bucket.

A version is made in a folder, by folder_publishing.py. For a bucket, that is a temporary one, and
its files are sent. A bucket has no rename, so the order makes a version whole for every reader:

    1. model.onnx is sent, and nobody sees it yet
    2. where there is no version so far: labels.txt and config.pbtxt, which all versions share
    3. VERSION/model.onnx appears, in one step; the number is taken, or another publisher was first
    4. VERSION/labels.txt and VERSION/config.pbtxt, for who copies that version alone
    5. labels.txt and config.pbtxt anew, if this is the newest version: its metrics

A publisher that dies before step 3 leaves no version; one that dies after it leaves a whole one,
whose shared files are the former version's, of the same interface; the next publish gives it copies
of these. The price: a version of several files has no such order; the trainer makes none.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.bucket import Store
from contract.errors import BucketError, RepositoryError
from contract.locations import Bucket, Location
from contract.model_config import CONFIG_FILE, LABELS_FILE, MODEL_FILE, ModelConfig
from contract.objects import RemoteModel, group
from contract.repository import check_model_name
from trainer.files import check_folder_writable
from trainer.folder_publishing import check_folder_publishable, next_version, publish_folder

_PROBE: Final = ".probe"
_PUBLISH_ATTEMPTS: Final = 100


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """Where a version was published.

    Attributes:
        model_dir: The model's folder, or its place in a bucket.
        version: The version's number.
    """

    model_dir: Location
    version: int

    @property
    def version_dir(self) -> Location:
        """Where the version's files lie."""
        return self.model_dir / str(self.version)


def check_writable(location: Location, name: str) -> None:
    """Refuse a repository that cannot be published to; nothing of it is changed.

    Raises:
        RepositoryError: Nothing can be written there.
    """
    if isinstance(location, Path):
        check_folder_writable(location / name)
        return
    store = Store(location / check_model_name(name))
    store.list()
    store.write(_PROBE, b"")
    with suppress(BucketError):  # who may not delete may publish; hidden and empty, it harms nobody
        store.delete(_PROBE)


def check_publishable(location: Location, config: ModelConfig, labels: Sequence[str]) -> None:
    """Refuse now what `publish` would refuse after the work is done.

    Raises:
        ConfigError: The labels cannot be written.
        RepositoryError: The name is none, or the model exists with another interface.
    """
    if isinstance(location, Path):
        check_folder_publishable(location, config, labels)
    else:
        store = Store(location / check_model_name(config.name))
        _check_publishable(store, _present(store), config, labels)


def publish(
    location: Location,
    config: ModelConfig,
    labels: Sequence[str],
    write_model: Callable[[Path], None],
    finish: Callable[[Path], ModelConfig] | None = None,
) -> PublishedVersion:
    """Publish a model as the next version of `config.name`; readers see all of it or nothing.

    Args:
        location: The model repository.
        config: The configuration, which replaces the present one.
        labels: The class names in index order.
        write_model: Writes and checks model.onnx at the path it is given.
        finish: Looks at what was written there, and returns the configuration to publish instead.

    Raises:
        ConfigError: The labels cannot be written.
        RepositoryError: The model exists with another interface, or nothing can be written.
    """
    if isinstance(location, Path):
        version = publish_folder(location, config, labels, write_model, finish)
        return PublishedVersion(location / config.name, version)
    check_publishable(location, config, labels)
    with tempfile.TemporaryDirectory(prefix="aperture-publish-") as folder:
        publish_folder(Path(folder), config, labels, write_model, finish)
        return _send(location / config.name, Path(folder) / config.name, config, labels)


def is_published(version: PublishedVersion) -> bool:
    """Whether the version is there still.

    Raises:
        RepositoryError: The bucket cannot be read.
    """
    if isinstance(version.model_dir, Path):
        return (version.model_dir / str(version.version)).is_dir()
    return version.version in _present(Store(version.model_dir)).versions


def _send(
    bucket: Bucket, made: Path, config: ModelConfig, labels: Sequence[str]
) -> PublishedVersion:
    store = Store(bucket)
    store.clear_abandoned()
    shared = {name: (made / name).read_bytes() for name in (LABELS_FILE, CONFIG_FILE)}
    for _ in range(_PUBLISH_ATTEMPTS):
        present = _present(store)
        _check_publishable(store, present, config, labels)
        version = next_version(present.versions, bucket)
        try:
            with store.upload(made / "1" / MODEL_FILE, f"{version}/{MODEL_FILE}") as upload:
                if not present.versions:
                    _write(store, "", shared)
                upload.commit()
        except FileExistsError:  # another publisher took the number
            continue
        _write(store, f"{version}/", shared)
        _mend(store, present)
        if max(_present(store).versions, default=0) == version:
            _write(store, "", shared)
        return PublishedVersion(bucket, version)
    raise RepositoryError(f"{bucket}: no free version number after {_PUBLISH_ATTEMPTS} attempts")


def _write(store: Store, prefix: str, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        store.write(prefix + name, content)


def _mend(store: Store, present: RemoteModel) -> None:
    """Give the versions of publishers that died after step 3 their copies, from the shared files."""
    for number, files in present.whole(MODEL_FILE).items():
        for name in present.shared.keys() & {LABELS_FILE, CONFIG_FILE} - files.keys():
            with suppress(FileExistsError):  # the publisher was slow, not dead
                store.write(f"{number}/{name}", store.read(name), new=True)


def _present(store: Store) -> RemoteModel:
    name = store.bucket.url.rpartition("/")[2]
    return group({f"{name}/{key}": entry for key, entry in store.list().items()}).get(
        name, RemoteModel(name)
    )


def _check_publishable(
    store: Store, present: RemoteModel, config: ModelConfig, labels: Sequence[str]
) -> None:
    """Check what the bucket holds of the model as if it lay in a folder."""
    with _small_copy(store, present) as folder:
        try:
            check_folder_publishable(folder, config, labels)
        except RepositoryError as err:
            place = store.bucket.url.removesuffix(f"/{present.name}")
            raise RepositoryError(str(err).replace(str(folder), place)) from err


def _place(present: RemoteModel, name: str) -> str:
    """The key of a shared file, or of the newest version's copy if that is lost; empty if both."""
    if name in present.shared:
        return name
    newest = max((n for n, files in present.versions.items() if name in files), default=None)
    return "" if newest is None else f"{newest}/{name}"


@contextmanager
def _small_copy(store: Store, present: RemoteModel) -> Iterator[Path]:
    """A folder with the model's shared files and empty version folders."""
    folder = Path(tempfile.mkdtemp(prefix="aperture-check-"))
    try:
        for number in present.versions:
            (folder / present.name / str(number)).mkdir(parents=True)
        for name in (CONFIG_FILE, LABELS_FILE):
            if present.versions and (key := _place(present, name)):
                (folder / present.name / name).write_bytes(store.read(key))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
