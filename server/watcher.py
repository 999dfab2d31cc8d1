"""Polling: what changed in the repository since the last look is loaded or unloaded.

A folder that is being copied is loaded only when two looks in a row see the same files; versions
that were published by a rename wait for the second look too, since nothing tells them apart. What
could not be loaded is tried again when its files change.
"""

import asyncio
import logging
from collections.abc import Hashable, Mapping

from server.errors import LoadError
from server.plan import plan, settled
from server.repository import Repository
from server.sources import ModelFolder
from server.stamps import stamp_model

logger = logging.getLogger(__name__)


class Watcher:
    """Keeps a repository as its folder is.

    Args:
        repository: The models.
        poll_s: Seconds between two looks.
    """

    def __init__(self, repository: Repository, poll_s: float) -> None:
        self._repository = repository
        self._poll_s = poll_s
        self._previous: Mapping[str, Hashable] = {}

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self.look()
            except Exception:  # the next look may find the folder as it should be
                logger.exception("polling failed; what serves goes on")

    async def look(self) -> None:
        """Look once, and do what follows from it."""
        try:
            folders = await self._repository.look()
        except LoadError as err:
            logger.warning("cannot poll reason=%s; what serves goes on", err)
            return
        seen = await asyncio.to_thread(stamp_all, folders)
        present = {name: model.attempted for name, model in self._repository.models.items()}
        actions = plan(present, settled(present, self._previous, seen))
        self._previous = seen
        for name in actions.unload:
            self._repository.drop(name)
        for name in actions.load:
            await self._repository.bring(folders[name])


def stamp_all(folders: Mapping[str, ModelFolder]) -> dict[str, Hashable]:
    """The stamp of each folder; one that changes under the look has a stamp like no other."""
    stamps: dict[str, Hashable] = {}
    for name, folder in folders.items():
        try:
            stamps[name] = stamp_model(folder)
        except OSError as err:
            logger.warning("cannot look at model=%s reason=%s", name, err)
            stamps[name] = object()
    return stamps
