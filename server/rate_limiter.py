"""Which instances of all models may run now: Triton's `--rate_limit execution_count`.

    an instance has a batch --its resources are free, and it is its turn--> run --> give back

`choose` decides, `RateLimiter` keeps the books. Whoever had the fewest executions, times his
priority, is next. What he cannot have yet is kept for him, so that nobody starves; others run beside
him. Who comes anew, or had nothing to run, counts from where the others stand; in Triton he counts
from 0, and runs alone until he has caught up.

The price: what is kept for a waiting instance lies idle until the rest that it needs is free.

Source: https://github.com/triton-inference-server/core/blob/main/src/rate_limiter.cc
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

from server.demands import Demand, Pool
from server.errors import LoadError

EVERY_DEVICE: Final = None
"""The device of a resource of which each device has as many."""


class Permit:
    """An instance's place among all others; made by `RateLimiter.join`.

    Args:
        limiter: Who keeps the books.
        demand: What a run of it takes.
    """

    def __init__(self, limiter: "RateLimiter", demand: Demand) -> None:
        self.demand = demand
        self.score = 0
        self.running = False
        self._limiter = limiter
        self._wanted: Callable[[], bool] = bool
        self._granted: asyncio.Future[bool] | None = None

    @contextlib.asynccontextmanager
    async def held(self, wanted: Callable[[], bool]) -> AsyncIterator[bool]:
        """Hold the instance's resources, once it has them.

        Args:
            wanted: Whether there is still something to run.

        Yields:
            Whether it has them; False: there is nothing to run any more.
        """
        self._wanted = wanted
        ran = False
        try:
            ran = await self._wait() and wanted()
            yield ran
        finally:
            self._limiter.end(self, ran=ran)

    def recheck(self) -> None:
        """Look again whether there is still something to run, if it waits."""
        self._limiter.dispatch()

    def leave(self) -> None:
        """Ask for nothing any more."""
        self._limiter.leave(self)

    def is_wanted(self) -> bool:
        """Whether there is still something to run."""
        return self._wanted()

    def answer(self, *, may_run: bool) -> None:
        """End its wait."""
        self.running = may_run
        if self._granted is not None and not self._granted.done():
            self._granted.set_result(may_run)

    async def _wait(self) -> bool:
        self._granted = asyncio.get_running_loop().create_future()
        self._limiter.begin(self)
        return await self._granted


class RateLimiter:
    """The resources of the server, and who has them.

    `check`, `join` and `leave` may be called from any thread, everything else from the event loop.

    Args:
        given: How many copies there are, by resource and device (`EVERY_DEVICE`); empty: of each
            the most that any instance asks for.
    """

    def __init__(self, given: Mapping[Pool, int] | None = None) -> None:
        self._given = dict(given or {})
        self._members: tuple[Permit, ...] = ()
        self._joining = threading.Lock()
        self._limits: Mapping[Pool, int] = {}
        self._used: dict[Pool, int] = {}
        self._waiting: dict[Permit, None] = {}
        self._ended: set[Permit] = set()
        self._last_score = 0
        self._scheduled = False

    @property
    def used(self) -> Mapping[Pool, int]:
        """The copies that are taken, of each pool that has any taken."""
        return {pool: count for pool, count in self._used.items() if count}

    @property
    def limits(self) -> Mapping[Pool, int]:
        """The copies that there are, of each pool that an instance asks for."""
        return self._limits

    def check(self, demands: Sequence[Demand]) -> None:
        """Refuse instances that could never run.

        Raises:
            LoadError: In Triton's words.
        """
        find_limits([*(permit.demand for permit in self._members), *demands], self._given)

    def join(self, demands: Sequence[Demand]) -> tuple[Permit, ...]:
        """Add a version's instances.

        Raises:
            LoadError: One of them could never run; none is added.
        """
        permits = tuple(Permit(self, demand) for demand in demands)
        with self._joining:
            self._set_members((*self._members, *permits))
        return permits

    def leave(self, permit: Permit) -> None:
        """Take out an instance that runs no more."""
        with self._joining:
            self._set_members(tuple(one for one in self._members if one is not permit))

    def begin(self, permit: Permit) -> None:
        """Let an instance wait from now on."""
        if permit not in self._ended:  # it had nothing to run
            active = [one.score for one in self._members if one.running or one in self._waiting]
            permit.score = max(permit.score, min(active, default=self._last_score))
        self._waiting[permit] = None
        if len(self._waiting) == 1:
            self.dispatch()
        else:
            self._schedule()

    def end(self, permit: Permit, *, ran: bool) -> None:
        """Take back what an instance holds or waits for; what it `ran` counts as an execution."""
        self._waiting.pop(permit, None)
        self._ended.add(permit)
        if permit.running:
            permit.running = False
            permit.score += permit.demand.priority if ran else 0
            for pool, count in permit.demand.needs.items():
                self._used[pool] -= count
        self._schedule()

    def dispatch(self) -> None:
        """Let everybody run whose turn it is, and dismiss those who need not run any more."""
        self._scheduled = False
        self._ended.clear()
        for permit in [permit for permit in self._waiting if not permit.is_wanted()]:
            del self._waiting[permit]
            permit.answer(may_run=False)
        waiting = sorted(self._waiting, key=lambda permit: permit.score)  # stable: by arrival
        free = {pool: limit - self._used.get(pool, 0) for pool, limit in self._limits.items()}
        for i in choose([permit.demand.needs for permit in waiting], free):
            permit = waiting[i]
            self._last_score = permit.score
            for pool, count in permit.demand.needs.items():
                self._used[pool] = self._used.get(pool, 0) + count
            del self._waiting[permit]
            permit.answer(may_run=True)

    def _schedule(self) -> None:
        """Dispatch soon: whoever gave back may want to wait again first, as one of all others."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.dispatch)

    def _set_members(self, members: tuple[Permit, ...]) -> None:
        self._limits = find_limits([permit.demand for permit in members], self._given)
        self._members = members


def choose(needs: Sequence[Mapping[Pool, int]], free: Mapping[Pool, int]) -> list[int]:
    """Who of those that wait, the next first, may run now.

    Args:
        needs: What each of them takes.
        free: What is free of each pool.

    Returns:
        Their indices. What somebody cannot have yet is kept for him from all who come after him.
    """
    left = dict(free)
    chosen = []
    for i, wanted in enumerate(needs):
        if all(count <= left.get(pool, 0) for pool, count in wanted.items()):
            chosen.append(i)
        for pool, count in wanted.items():
            left[pool] = left.get(pool, 0) - count
    return chosen


def find_limits(demands: Sequence[Demand], given: Mapping[Pool, int]) -> dict[Pool, int]:
    """How many copies there are of each pool that an instance asks for.

    Args:
        demands: Of all instances.
        given: The copies by resource and device; empty: the most that one instance asks for.

    Raises:
        LoadError: An instance asks for more than is given, or a resource is both global and not.
    """
    most: dict[Pool, int] = {}
    for demand in demands:
        for pool, count in demand.needs.items():
            most[pool] = max(count, most.get(pool, 0))
    limits = {pool: _given(pool, given) for pool in most} if given else most
    for (name, device), count in limits.items():
        if count < most[name, device]:
            raise LoadError(
                f'Resource count for "{name}" is limited to {count} which will prevent scheduling '
                "of one or more model instances, the minimum required count is "
                f"{most[name, device]}"
            )
        if device is not None and (name, None) in limits:
            raise LoadError(
                f'Resource "{name}" is present as both global and device-specific resource in '
                "the model configuration."
            )
    return limits


def _given(pool: Pool, given: Mapping[Pool, int]) -> int:
    name, device = pool
    return max(
        (
            count
            for (resource, its), count in given.items()
            if resource == name and (device is None or its in (device, EVERY_DEVICE))
        ),
        default=0,
    )
