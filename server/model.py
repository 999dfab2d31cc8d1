"""A served model: one name, its versions, KServe's `Model` interface.

KServe knows a model by its name; which version answers is decided here. A version takes over
between two requests: whoever began with the old one ends with it.

    LOADING -> READY -> UNLOADING -> UNAVAILABLE: unloaded
            -> UNAVAILABLE: reason
"""

import asyncio
from collections.abc import Container, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import kserve

from contract.repository import version_number
from server.errors import ModelNotFound, NotReady, NoVersions, RequestError, VersionNotReady
from server.stamps import ModelStamp, VersionStamp
from server.version import Version

State: TypeAlias = Literal["LOADING", "READY", "UNLOADING", "UNAVAILABLE"]

LOADING = "loading"
UNLOADED = "unloaded"
"""Triton's reason for a version that was unloaded because that was asked for."""


@dataclass(frozen=True, slots=True)
class VersionState:
    """Triton's state of a version, and why it is not READY."""

    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded version and the stamp of the files that it was loaded from."""

    version: Version
    stamp: VersionStamp


class ServedModel(kserve.Model):
    """A model of the repository, ready once a version of it serves.

    Args:
        name: The name in URLs and requests.

    Attributes:
        attempted: The stamp of the files that were last loaded, or could not be.
        changing: Held while versions are loaded or unloaded.
        wanted: Whether it is to be served; not after it was unloaded.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.attempted: ModelStamp | None = None
        self.changing = asyncio.Lock()
        self.wanted = True
        self._loaded: dict[int, Loaded] = {}
        self._others: dict[int, VersionState] = {}
        self._reason = LOADING

    @property
    def versions(self) -> Mapping[int, Version]:
        """The versions that serve, by number."""
        return {number: loaded.version for number, loaded in self._loaded.items()}

    @property
    def stamps(self) -> Mapping[int, VersionStamp]:
        """What the versions that serve were loaded from, by number."""
        return {number: loaded.stamp for number, loaded in self._loaded.items()}

    @property
    def reason(self) -> str:
        """Why it is not ready, or why its last change could not be loaded; empty if all is well."""
        reasons = [self._reason] if self._reason else []
        return "; ".join([*reasons, *(one.reason for one in self._others.values() if one.reason)])

    @property
    def trouble(self) -> str:
        """What of the whole model is not well; empty if all is."""
        return self._reason

    @property
    def serving(self) -> bool:
        """Whether every loaded version can answer, and there is one."""
        return bool(self._loaded) and all(one.version.alive for one in self._loaded.values())

    def states(self) -> dict[int, VersionState]:
        """The state of each version that serves, or did, or should, by number."""
        serving = {}
        for number, loaded in self._loaded.items():
            failed = self._others.get(number, VersionState("READY"))
            alive = loaded.version.alive
            serving[number] = (
                VersionState("READY", failed.reason)
                if alive
                else VersionState("UNAVAILABLE", "its batcher has ended")
            )
        return dict(sorted({**self._others, **serving}.items()))

    def begin(self, numbers: Iterable[int], settled: Iterable[int] = ()) -> None:
        """Note that versions are being loaded; those that serve go on.

        Args:
            numbers: The versions that are being loaded.
            settled: Those that serve as they are wanted, so an attempt that failed is over.
        """
        self.wanted = True
        for number in settled:
            self._others.pop(number, None)
        for number in numbers:
            self._others[number] = VersionState("LOADING")
        self._reason = "" if self._loaded else LOADING

    def fail(self, reason: str, number: int | None = None) -> None:
        """Note why a version, or the whole model, could not be loaded; what serves goes on."""
        failed = [key for key, one in self._others.items() if one.state == "LOADING"]
        if number is None:
            self._reason = reason
        else:
            failed = [number]
        self._others.update(dict.fromkeys(failed, VersionState("UNAVAILABLE", reason)))

    def switch(self, arrived: Mapping[int, Loaded], leaving: Iterable[int]) -> dict[int, Version]:
        """Let loaded versions answer from now on, in one step; call it on the event loop.

        Returns:
            The versions that no request will find any more, which are to be seen off.
        """
        replaced = {number: self._loaded[number] for number in arrived if number in self._loaded}
        for number, loaded in arrived.items():
            loaded.version.start()
            self._loaded[number] = loaded
            self._others.pop(number, None)
        for number in leaving:
            replaced[number] = self._loaded.pop(number)
            self._others[number] = VersionState("UNLOADING")
        if self._loaded or self._reason == LOADING:
            self._reason = ""
        self.ready = bool(self._loaded)
        return {number: loaded.version for number, loaded in replaced.items()}

    def unload(self) -> dict[int, Version]:
        """Let no request find a version any more; returns them, to be seen off."""
        self.attempted = None
        self.wanted = False
        leaving = self.switch({}, list(self._loaded))
        self._reason = UNLOADED
        return leaving

    def left(self, number: int) -> None:
        """Note that a version which `switch` or `unload` returned has stopped."""
        if self._others.get(number) == VersionState("UNLOADING"):
            self._others[number] = VersionState("UNAVAILABLE", UNLOADED)

    def forget(self, present: Iterable[int], wanted: Container[int]) -> None:
        """Drop what is known of versions that do not serve and are not to.

        Those are the ones that are not `present` on disk, and those that failed and are not `wanted`
        any more; what was unloaded is still known as such.
        """
        kept = set(present)
        gone = [
            number
            for number, one in self._others.items()
            if one.state == "UNAVAILABLE"
            and (number not in kept or (number not in wanted and one.reason != UNLOADED))
        ]
        for number in gone:
            del self._others[number]

    def version(self, number: str = "") -> Version:
        """The version of that number, or the newest.

        Raises:
            RequestError: The number is none.
            ModelNotFound: There is no such version, or all were unloaded.
            NotReady: It is known, but cannot answer.
        """
        if not number:
            if self._loaded:
                return self._loaded[max(self._loaded)].version
            if not self.wanted:
                raise NoVersions(self.name)
            raise NotReady(self.name, self.reason)
        known = _parse_number(number)
        if known in self._loaded:
            return self._loaded[known].version
        if known in self._others:
            raise VersionNotReady(self.name, known)
        raise ModelNotFound(self.name, number)

    def use(self, number: str = "") -> AbstractContextManager[Version]:
        """The version of that number, or the newest, for as long as a request is answered by it.

        A version that was replaced is unloaded when the last such request ends.

        Raises:
            RequestError, ModelNotFound, NotReady: As `version`.
        """
        return self.version(number).in_use()


def _parse_number(text: str) -> int:
    number = version_number(text)
    if number is None:
        raise RequestError(
            f"failed to get model version from specified version string '{text[:40]}' "
            "(details: stoll), version should be an integral value > 0"
        )
    return number
