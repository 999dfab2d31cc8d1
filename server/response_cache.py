"""Triton's response cache: what a model answered, kept for requests with equal inputs.

One cache for all models, in this process' memory, bounded in bytes; what was not used for longest
goes first. A part of a request is looked up as a whole, before its pictures are decoded, and all the
model's outputs are kept, so that any protocol, any choice of outputs and any `parameters` of a task
are answered from one entry. Only what a run answered is kept.

The price: an entry is a copy, so that it holds nothing of its batch and nobody can change it.

Source: https://github.com/triton-inference-server/server/blob/main/docs/user_guide/response_cache.md
"""

import asyncio
import itertools
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contract.pictures import Picture
from server.durations import timed
from server.execution import Row
from server.record import Record
from server.request_digest import Inputs
from server.turns import beside_loop

_ENTRY_BYTES: Final = 1024  # of Python's objects in an entry, about
_PICTURE_BYTES: Final = 384  # the same of a picture's sizes
_DROPPED_AT_ONCE: Final = 256  # about a millisecond of the event loop

Key = tuple[int, bytes]
"""A load of a version, and the digest of the inputs."""


@dataclass(frozen=True, slots=True)
class Part:
    """What came of a part of a request.

    Attributes:
        outputs: All outputs[n, ...] of its rows in their order, in one piece or several.
        pictures: The pictures' sizes, without pixels; none where it held tensors.
    """

    outputs: Sequence[Row]
    pictures: Sequence[Picture] = ()


@dataclass(slots=True)
class CacheStatistics:
    """What became of the parts of requests that were looked up, of all models.

    Attributes:
        hits: Those that were found.
        misses: Those that were not.
        evictions: Entries that made room for others.
        lookup_ns: Nanoseconds of all lookups.
        insertion_ns: Nanoseconds of keeping what was missed.
    """

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    lookup_ns: int = 0
    insertion_ns: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    part: Part
    size: int


class ResponseCache:
    """The entries of all models; used on the event loop alone.

    Args:
        max_bytes: What they may take together.

    Attributes:
        used_bytes: What they take, Python's objects about.
        statistics: What became of lookups so far.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.used_bytes = 0
        self.statistics = CacheStatistics()
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._keys: dict[int, set[Key]] = {}
        self._loads = itertools.count()

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._entries)

    def for_load(self) -> "VersionCache":
        """What a version that is loaded now sees of the cache: entries of its own."""
        return VersionCache(self, next(self._loads))

    def find(self, key: Key) -> Part | None:
        """What was kept under `key`, which is now the last to go; None if there is nothing."""
        entry = self._entries.get(key)
        if entry is None:
            self.statistics.misses += 1
            return None
        self.statistics.hits += 1
        self._entries.move_to_end(key)
        return entry.part

    def keep(self, key: Key, part: Part, size: int) -> None:
        """Keep a part of `size` bytes, in the place of the longest unused ones if need be."""
        if size > self.max_bytes:
            return
        self._drop(key)
        while self.used_bytes + size > self.max_bytes:
            self._drop(next(iter(self._entries)))
            self.statistics.evictions += 1
        self._entries[key] = _Entry(part, size)
        self._keys.setdefault(key[0], set()).add(key)
        self.used_bytes += size

    async def forget(self, load: int) -> None:
        """Drop the entries of a version that was unloaded, a few at a time: there may be many."""
        for number, key in enumerate(self._keys.pop(load, ()), 1):
            self._drop(key)
            if number % _DROPPED_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.used_bytes -= entry.size
            self._keys.get(key[0], set()).discard(key)


class VersionCache:
    """What one loaded version sees of the cache; made by `ResponseCache.for_load`."""

    def __init__(self, cache: ResponseCache, load: int) -> None:
        self._cache = cache
        self._load = load

    async def recall(
        self, inputs: Inputs, run: Callable[[], Awaitable[Part]], record: Record
    ) -> Part:
        """What came of equal inputs before; if nothing is kept, what comes of `run`, which then is.

        Raises:
            Exception: Whatever `run` raises.
        """
        with timed() as taken:
            digest = await beside_loop(inputs.size, inputs.digest)
            found = None if digest is None else self._cache.find((self._load, digest))
        if digest is None:
            return await run()
        self._cache.statistics.lookup_ns += taken.ns
        record.looked_up(taken, hit=found is not None)
        if found is not None:
            return found
        part = await run()
        with timed() as taken:
            await self._keep((self._load, digest), part)
        self._cache.statistics.insertion_ns += taken.ns
        record.kept(taken)
        return part

    async def close(self) -> None:
        """Drop the version's entries, when it is unloaded."""
        await self._cache.forget(self._load)

    async def _keep(self, key: Key, part: Part) -> None:
        size = part_bytes(part)
        if size <= self._cache.max_bytes:
            kept = await beside_loop(size, lambda: frozen(part))
            self._cache.keep(key, kept, size)


def part_bytes(part: Part) -> int:
    """What keeping a part takes."""
    outputs = sum(_array_bytes(array) for piece in part.outputs for array in piece.values())
    return _ENTRY_BYTES + outputs + _PICTURE_BYTES * len(part.pictures)


def frozen(part: Part) -> Part:
    """A copy in one piece that nobody can write to."""
    names = part.outputs[0]
    row = {name: _read_only([piece[name] for piece in part.outputs]) for name in names}
    return Part((row,), tuple(part.pictures))


def _read_only(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    made = arrays[0].copy() if len(arrays) == 1 else np.concatenate(arrays)
    made.setflags(write=False)
    return made


def _array_bytes(array: NDArray[Any]) -> int:
    if array.dtype != np.object_:
        return array.nbytes
    return array.nbytes + sum(sys.getsizeof(element) for element in array.reshape(-1).tolist())
