"""A repository in a bucket -> its copy in a local folder, of what is to be served.

Each look lists the bucket once and copies what is new: of each model what its version_policy
chooses, of the versions whose model file is there. What cannot be copied is a fault of its model or
version: it has its reason in the index, as a folder that cannot be loaded has, and what serves goes
on. A copy takes as long as the network does; looks are made in threads, one at a time.
"""

import atexit
import fcntl
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from contract.errors import BucketError, ContractError
from contract.locations import Bucket
from contract.mirror import Mirror
from contract.model_config import CONFIG_FILE, ModelConfig, empty_model_config, read_model_config
from contract.objects import RemoteModel
from contract.version_policy import choose_versions
from server.errors import LoadError
from server.sources import ModelFolder, Source

logger = logging.getLogger(__name__)

_LOCK_FILE: Final = ".lock"


@dataclass(frozen=True, slots=True)
class BucketSource(Source):
    """A repository in a bucket.

    Attributes:
        mirror: Its copy, at `root`.
        lock_fd: An open file, whose lock keeps the copy to this process.
        found: The names of the models at the last look.
        turn: Held by who looks.
    """

    mirror: Mirror
    lock_fd: int
    found: set[str] = field(default_factory=set)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def folders(
        self, asked: Mapping[str, ModelConfig | None] | None = None
    ) -> dict[str, ModelFolder]:
        """Copy what is to be served, and find the folder of each model, by name.

        Args:
            asked: The models wanted now, with the configuration for one that brings its own; the
                copies of others stay as they are. None for all models.

        Raises:
            LoadError: The bucket cannot be listed.
        """
        with self.turn:
            try:
                models = {
                    name: model for name, model in self.mirror.look().items() if model.versions
                }
            except BucketError as err:
                raise LoadError(str(err)) from err
            self.found.clear()
            self.found.update(models)
            self.mirror.keep_models(models)
            configs = dict.fromkeys(models) if asked is None else asked
            return {
                name: self._copy(models[name], config)
                for name, config in configs.items()
                if name in models
            }

    def names(self) -> Iterable[str]:
        """The models of the last look, at the start or at a load."""
        return sorted(self.found)

    def stop(self) -> None:
        """End a copy that is under way, and give the folder free."""
        self.mirror.stop()
        fcntl.flock(self.lock_fd, fcntl.LOCK_UN)

    def _copy(self, model: RemoteModel, config: ModelConfig | None) -> ModelFolder:
        path = self.root / model.name
        try:
            self.mirror.fetch_shared(model)
            if config is None:
                config = _read_config(path, model.name)
        except ContractError as err:
            return ModelFolder(model.name, path, trouble=str(err))
        wanted = choose_versions(config, model.whole(config.model_file))
        faults = self.mirror.fetch_versions(model, wanted)
        if not faults:
            self.mirror.keep(model.name, wanted)
        return ModelFolder(model.name, path, faults=faults)


def open_bucket(bucket: Bucket, cache_dir: Path | None) -> BucketSource:
    """Make ready to serve from a bucket.

    Args:
        bucket: The repository.
        cache_dir: Where its copy is kept for the next start; None for a folder that goes with the
            process.

    Raises:
        LoadError: The bucket or the folder cannot be used.
    """
    folder = cache_dir or Path(tempfile.mkdtemp(prefix="aperture-bucket-"))
    if cache_dir is None:
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        mirror = Mirror(bucket, folder)
        source = BucketSource(folder, None, is_model=False, mirror=mirror, lock_fd=_lock(folder))
        source.folders({})
    except (BucketError, OSError) as err:
        raise LoadError(str(err)) from err
    if not source.names():
        logger.warning("repository=%s holds no model; nothing is served yet", bucket)
    return source


def _lock(folder: Path) -> int:
    """Keep the folder to this process, at the latest until it ends; the open file."""
    lock = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        os.close(lock)
        raise LoadError(
            f"{folder} is in use by another server; give each its own --bucket_cache_dir"
        ) from err
    return lock


def _read_config(path: Path, name: str) -> ModelConfig:
    return read_model_config(path) if (path / CONFIG_FILE).exists() else empty_model_config(name)
