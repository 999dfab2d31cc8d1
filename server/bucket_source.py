"""A repository in a bucket -> its copy in a local folder, of what is to be served.

Each look lists the bucket once and copies what is new: of each model what its version_policy
chooses, of the versions whose model file is there. What cannot be copied is a fault of its model or
version: it has its reason in the index, as a folder that cannot be loaded has, and what serves goes
on. A copy takes as long as the network does; looks are made in threads, one at a time. If the first
look finds no bucket, what the folder keeps of it from a former process is served.
"""

import atexit
import fcntl
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from contract.errors import BucketError
from contract.locations import Bucket
from contract.mirror import Mirror
from contract.model_config import ModelConfig
from contract.objects import RemoteModel
from server.errors import LoadError
from server.sources import ModelFolder
from server.version_policy import choose_versions

logger = logging.getLogger(__name__)

_LOCK_FILE: Final = ".lock"


class BucketSource:
    """A repository in a bucket.

    Args:
        mirror: Its copy.
        lock_fd: An open file, whose lock keeps the copy to this process.
    """

    def __init__(self, mirror: Mirror, lock_fd: int) -> None:
        self.mirror = mirror
        self._lock_fd = lock_fd
        self._found: Sequence[str] = ()
        self._turn = threading.Lock()
        self._looked = False

    def folders(
        self, asked: Mapping[str, ModelConfig | None] | None = None
    ) -> dict[str, ModelFolder]:
        """Copy what is to be served, and find the folder of each model, by name.

        Args:
            asked: The models wanted now, with the configuration for one that brings its own; the
                copies of others stay as they are. None for all models.

        Raises:
            LoadError: The bucket cannot be listed, and this is not the first look of a process with
                a kept copy; or the server is stopping.
        """
        try:
            with self._turn:
                return self._look(asked)
        finally:
            if self.mirror.stopping:
                self._give_free()

    def names(self) -> Iterable[str]:
        """The models of the last look, at the start or at a load."""
        return self._found

    def stop(self) -> None:
        """End a copy that is under way, and give the folder free when nobody writes into it."""
        self.mirror.stop()
        self._give_free()

    def _look(self, asked: Mapping[str, ModelConfig | None] | None) -> dict[str, ModelFolder]:
        if self.mirror.stopping:
            raise LoadError("the server is stopping")
        if not self._looked:
            logger.info("looking at the bucket repository=%s", self.mirror.bucket)
        try:
            models = {name: model for name, model in self.mirror.look().items() if model.versions}
            self.mirror.claim()
        except BucketError as err:
            return self._kept(asked, err)
        if not models and not self._looked:
            logger.warning(
                "repository=%s holds no model; nothing is served yet", self.mirror.bucket
            )
        self._looked = True
        self._found = sorted(models)
        self.mirror.keep_models(models)
        configs = dict.fromkeys(models) if asked is None else asked
        return {
            name: self._copy(models[name], config)
            for name, config in configs.items()
            if name in models
        }

    def _kept(
        self, asked: Mapping[str, ModelConfig | None] | None, err: BucketError
    ) -> dict[str, ModelFolder]:
        """What a former process left of the bucket, where the first look at it fails."""
        held = [] if self._looked else self.mirror.held()
        if not held:
            raise LoadError(str(err)) from err
        self._looked = True
        self._found = sorted(held)
        folder = self.mirror.folder
        logger.warning("%s; served is what %s keeps of it: %s", err, folder, ", ".join(held))
        names = held if asked is None else asked
        return {name: ModelFolder(name, folder / name) for name in names if name in held}

    def _give_free(self) -> None:
        """Unlock the folder, unless a look is under way, which does so when it ends."""
        if self._turn.acquire(blocking=False):
            fcntl.flock(self._lock_fd, fcntl.LOCK_UN)
            self._turn.release()

    def _copy(self, model: RemoteModel, config: ModelConfig | None) -> ModelFolder:
        folder = ModelFolder(model.name, self.mirror.folder / model.name)
        try:
            self.mirror.fetch_shared(model)
            if config is None:
                config = folder.read_config()
        except (BucketError, LoadError) as err:
            return replace(folder, trouble=str(err))
        wanted = choose_versions(config, model.whole(config.model_file))
        faults = self.mirror.fetch_versions(model, wanted)
        if not faults:
            self.mirror.keep(model.name, wanted)
        return replace(folder, faults=faults)


def open_bucket(bucket: Bucket, cache_dir: Path | None) -> BucketSource:
    """Make ready to serve from a bucket, which is not asked yet.

    Args:
        bucket: The repository.
        cache_dir: Where its copy is kept for the next start; None for a folder that goes with the
            process.

    Raises:
        LoadError: The package for the bucket is not installed, or the folder cannot be used.
    """
    folder = cache_dir or Path(tempfile.mkdtemp(prefix="aperture-bucket-"))
    if cache_dir is None:
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        mirror = Mirror(bucket, folder)
        return BucketSource(mirror, _lock(folder))
    except (BucketError, OSError) as err:
        raise LoadError(str(err)) from err


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
