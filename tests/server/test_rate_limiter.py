import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Coroutine, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.scheduling import DynamicBatching
from server.batcher import Batcher
from server.demands import Demand, Pool
from server.errors import LoadError, Unloaded
from server.execution import Execution, Row
from server.rate_limiter import EVERY_DEVICE, Permit, RateLimiter, choose, find_limits
from server.statistics import Statistics
from tests.virtual_time import VirtualExecutor, run_virtual

R: Pool = ("R", 0)
G: Pool = ("G", None)
ONE = Demand({R: 1})

pools = st.sampled_from([("A", 0), ("A", 1), ("B", 0), ("C", None)])
needs = st.dictionaries(pools, st.integers(1, 4), max_size=3)
demands = st.builds(Demand, needs, st.integers(1, 3))


@given(st.lists(needs, max_size=8), st.dictionaries(pools, st.integers(-2, 8)))
def test_choose_stays_within_the_limit_and_lets_nothing_lie_idle(
    waiting: list[Mapping[Pool, int]], free: dict[Pool, int]
) -> None:
    chosen = choose(waiting, free)
    taken: Counter[Pool] = Counter()
    for i in chosen:
        taken.update(waiting[i])
    assert all(count <= free.get(pool, 0) for pool, count in taken.items())
    refused = [i for i in range(len(waiting)) if i not in chosen]
    for place, i in enumerate(refused):
        rest_fits = all(n <= free.get(p, 0) - taken[p] for p, n in waiting[i].items())
        kept_for = [k for k in refused[:place] if waiting[k].keys() & waiting[i].keys()]
        assert kept_for or not rest_fits


def test_nothing_passes_a_waiter_to_take_what_he_needs() -> None:
    large, small, other = {R: 4}, {R: 1}, {G: 1}
    assert choose([large, small, other], {R: 3, G: 1}) == [2]
    assert choose([small, large, small], {R: 3}) == [0]
    assert choose([{}, large], {}) == [0]


def test_a_limit_is_the_most_that_an_instance_asks_for() -> None:
    asked = [Demand({R: 4, G: 1}), Demand({R: 1, ("R", 1): 2})]
    assert find_limits(asked, {}) == {R: 4, ("R", 1): 2, G: 1}


def test_limits_can_be_given_by_device_and_for_every_device() -> None:
    given_counts = {("R", EVERY_DEVICE): 5, ("R", 1): 8, ("G", 3): 2, ("unused", 0): 1}
    asked = [Demand({R: 4, G: 1}), Demand({("R", 1): 2})]
    assert find_limits(asked, given_counts) == {R: 5, ("R", 1): 8, G: 2}


@pytest.mark.parametrize(
    ("asked", "given_counts", "problem"),
    [
        ([Demand({R: 4})], {("R", None): 3}, 'count for "R" is limited to 3 which will prevent'),
        ([Demand({R: 4})], {("S", None): 9}, 'count for "R" is limited to 0 which will prevent'),
        ([Demand({R: 1}), Demand({("R", None): 1})], {}, '"R" is present as both global and'),
    ],
)
def test_what_could_never_run_is_refused_and_leaves_no_trace(
    asked: list[Demand], given_counts: dict[Pool, int], problem: str
) -> None:
    limiter = RateLimiter(given_counts)
    for refuse in (limiter.check, limiter.join):
        with pytest.raises(LoadError, match=problem):
            refuse(asked)
    assert limiter.limits == {}


def test_who_leaves_takes_his_needs_with_him() -> None:
    async def main() -> None:
        limiter = RateLimiter()
        (large,) = limiter.join([Demand({R: 4})])
        limiter.join([ONE])
        assert limiter.limits == {R: 4}
        large.leave()
        assert limiter.limits == {R: 1}

    run_virtual(main())


def yes() -> bool:
    return True


async def work(permit: Permit, runs: int, seconds: float, log: list[str], name: str) -> None:
    """Run `runs` times, always with more to run."""
    for _ in range(runs):
        async with permit.held(yes) as may_run:
            assert may_run
            log.append(name)
            await asyncio.sleep(seconds)


@settings(deadline=None)
@given(st.lists(st.tuples(demands, st.integers(1, 5), st.floats(0.1, 9)), min_size=1, max_size=6))
def test_nobody_starves_and_no_limit_is_passed(plan: list[tuple[Demand, int, float]]) -> None:
    async def main() -> None:
        limiter = RateLimiter()
        permits = limiter.join([demand for demand, _, _ in plan])
        log: list[str] = []
        jobs = [
            asyncio.create_task(work(permit, runs, seconds, log, str(i)))
            for i, (permit, (_, runs, seconds)) in enumerate(zip(permits, plan, strict=True))
        ]
        while not all(job.done() for job in jobs):
            await asyncio.sleep(0.05)
            used = limiter.used
            assert all(count <= limiter.limits[pool] for pool, count in used.items())
            held = Counter[Pool]()
            for permit in permits:
                held.update(permit.demand.needs if permit.running else {})
            assert used == held
        await asyncio.gather(*jobs)
        assert Counter(log) == {str(i): runs for i, (_, runs, _) in enumerate(plan)}
        assert limiter.used == {}

    run_virtual(main())


def test_one_that_needs_all_gets_it_beside_many_that_need_little() -> None:
    async def main() -> list[str]:
        limiter = RateLimiter()
        large, *small = limiter.join([Demand({R: 4}), *[ONE] * 6])
        log: list[str] = []
        jobs = [work(one, 20, 1 + i / 7, log, "small") for i, one in enumerate(small)]
        await asyncio.gather(*jobs, work(large, 5, 1, log, "large"))
        return log

    log = run_virtual(main())
    turns = [i for i, name in enumerate(log) if name == "large"]
    # Each of the six may have run once more than the large one, and one may run when it is asked.
    assert max(later - earlier for earlier, later in itertools.pairwise(turns)) <= 14
    assert turns[0] <= 6


@pytest.mark.parametrize("priority", [2, 3])
def test_a_priority_is_a_share_of_the_executions(priority: int) -> None:
    async def main() -> list[str]:
        limiter = RateLimiter()
        first, second = limiter.join([ONE, Demand({R: 1}, priority)])
        log: list[str] = []
        jobs = [
            asyncio.create_task(work(first, 999, 1, log, "first")),
            asyncio.create_task(work(second, 999, 1, log, "second")),
        ]
        await asyncio.sleep(120.5)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        assert limiter.used == {}
        return log

    counts = Counter(run_virtual(main()))
    assert abs(counts["first"] - priority * counts["second"]) <= priority


def test_a_newcomer_does_not_make_up_for_what_ran_before_him() -> None:
    async def main() -> list[str]:
        limiter = RateLimiter()
        (old,) = limiter.join([ONE])
        log: list[str] = []
        await work(old, 50, 1, log, "old")
        (new,) = limiter.join([ONE])
        log.clear()
        await asyncio.gather(work(new, 10, 1, log, "new"), work(old, 10, 1, log, "old"))
        return log

    log = run_virtual(main())
    assert log[:6].count("old") == 3


def test_a_cancelled_wait_leaves_nothing_taken_and_nothing_kept() -> None:
    async def main() -> None:
        limiter = RateLimiter()
        running, large, small = limiter.join([Demand({R: 2}), Demand({R: 4}), Demand({R: 2})])
        log: list[str] = []
        first = asyncio.create_task(work(running, 1, 100, log, "running"))
        await asyncio.sleep(1)
        waiter = asyncio.create_task(work(large, 1, 1, log, "large"))
        await asyncio.sleep(1)
        last = asyncio.create_task(work(small, 1, 1, log, "small"))
        await asyncio.sleep(1)
        assert log == ["running"]
        waiter.cancel()
        await asyncio.sleep(0.5)
        assert log == ["running", "small"]
        await asyncio.gather(first, last)
        assert limiter.used == {}

    run_virtual(main())


def test_a_wait_that_is_cancelled_as_it_is_granted_gives_back() -> None:
    async def main() -> None:
        limiter = RateLimiter()
        (permit,) = limiter.join([ONE])
        task = asyncio.create_task(work(permit, 1, 1, [], ""))
        await asyncio.sleep(0)  # it has asked, and was answered, but did not go on
        assert limiter.used == {R: 1}
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert limiter.used == {}

    run_virtual(main())


def test_a_waiter_who_has_nothing_to_run_any_more_is_dismissed() -> None:
    async def main() -> None:
        limiter = RateLimiter()
        running, waiting = limiter.join([ONE, ONE])
        wanted = [True]
        first = asyncio.create_task(work(running, 1, 10, [], ""))
        await asyncio.sleep(1)

        async def wait() -> bool:
            async with waiting.held(lambda: bool(wanted)) as may_run:
                return may_run

        task = asyncio.create_task(wait())
        await asyncio.sleep(1)
        wanted.clear()
        waiting.recheck()
        assert not await task
        assert limiter.used == {R: 1}
        await first

    run_virtual(main())


class Runs:
    """When the runs of each model began, in virtual seconds, and the sizes of their batches."""

    def __init__(self, limiter: RateLimiter) -> None:
        self.limiter = limiter
        self.log: list[tuple[float, str, int]] = []

    def batcher(self, name: str, seconds: float, instances: list[Demand]) -> Batcher:
        def run(inputs: Row) -> Row:
            self.log.append((asyncio.get_running_loop().time(), name, len(inputs["x"])))
            return {"y": inputs["x"]}

        execution = Execution((run,) * len(instances), 8, permits=self.limiter.join(instances))
        executor = VirtualExecutor(lambda: seconds)
        return Batcher(execution, executor, DynamicBatching(), 100, Statistics())


def ask(batcher: Batcher) -> Coroutine[Any, Any, Any]:
    return batcher.submit({"x": np.zeros((1, 1), np.float32)}, 1)


def test_batches_gather_while_their_instance_waits() -> None:
    async def main() -> list[tuple[float, str, int]]:
        runs = Runs(RateLimiter())
        slow, fast = runs.batcher("slow", 10, [ONE]), runs.batcher("fast", 1, [ONE, ONE])
        slow.start()
        fast.start()
        tasks = [asyncio.create_task(ask(slow))]
        await asyncio.sleep(1)
        for _ in range(5):
            tasks.append(asyncio.create_task(ask(fast)))
            await asyncio.sleep(1)
        await asyncio.gather(*tasks)
        await slow.stop()
        await fast.stop()
        assert runs.limiter.used == {}
        assert runs.limiter.limits == {}
        return runs.log

    assert run_virtual(main()) == [(0, "slow", 1), (10, "fast", 5)]


def test_a_batcher_that_is_stopped_while_it_waits_takes_nothing() -> None:
    async def main() -> None:
        runs = Runs(RateLimiter())
        slow, waits = runs.batcher("slow", 10, [ONE]), runs.batcher("waits", 1, [ONE])
        slow.start()
        waits.start()
        first = asyncio.create_task(ask(slow))
        await asyncio.sleep(1)
        second = asyncio.create_task(ask(waits))
        await asyncio.sleep(1)
        await waits.stop()
        assert asyncio.get_running_loop().time() == 2
        with pytest.raises(Unloaded):
            await second
        assert runs.limiter.used == {R: 1}
        await first
        await slow.stop()
        assert runs.limiter.used == {}
        assert runs.log == [(0, "slow", 1)]

    run_virtual(main())


def test_a_run_that_fails_gives_back() -> None:
    async def main() -> None:
        limiter = RateLimiter()

        def fail(inputs: Row) -> Row:
            raise ArithmeticError(len(inputs))

        execution = Execution((fail,), 8, permits=limiter.join([ONE]))
        batcher = Batcher(execution, VirtualExecutor(), DynamicBatching(), 9, Statistics())
        batcher.start()
        for _ in range(2):
            with pytest.raises(ArithmeticError):
                await ask(batcher)
        await asyncio.sleep(1)
        assert limiter.used == {}
        await batcher.stop()

    run_virtual(main())
