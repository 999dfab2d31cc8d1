"""What is noted of one request while it is answered: for the statistics, and for its trace."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from server.durations import Interval
from server.errors import QueueFull, QueueTimeout, ServerError
from server.statistics import FailureReason, Stages, Statistics


class StageTrace(Protocol):
    """Where the stages of a traced request are noted."""

    def add(self, stage: str, taken: Interval) -> None:
        """Note a stage that has ended."""
        ...


class Tracer(Protocol):
    """Decides which requests are traced."""

    def begin(self, model: str, number: int, request_id: str) -> StageTrace | None:
        """Where the stages of the request that is answered now are noted; None if nowhere."""
        ...


@dataclass(slots=True)
class CacheUse:
    """What the response cache had of a request.

    Attributes:
        hits: Its parts that were found there.
        misses: Its parts that were not.
        ns: Nanoseconds of looking up, and of keeping what was missed.
    """

    hits: int = 0
    misses: int = 0
    ns: int = 0


@dataclass(slots=True)
class Record:
    """What is noted of a request while it is answered.

    Attributes:
        rows: Its pictures, or batch rows.
        stages: How long it took so far.
        cache: What the response cache had of it.
        trace: Where its stages are noted; None if it is not traced.
    """

    rows: int = 0
    stages: Stages = field(default_factory=Stages)
    cache: CacheUse = field(default_factory=CacheUse)
    trace: StageTrace | None = None

    def decoded(self, taken: Interval) -> None:
        """Note how long pictures were decoded."""
        self.stages.compute_input_ns += taken.ns
        if self.trace is not None:
            self.trace.add("decode", taken)

    def ran(self, rows: int, stages: Stages, arrived_ns: int, runs: Sequence[Interval]) -> None:
        """Note that rows were queued, and run."""
        self.rows += rows
        self.stages.add(stages)
        if self.trace is not None:
            first_ns = min(run.start_ns for run in runs)
            self.trace.add("queue", Interval(arrived_ns, first_ns))
            for run in runs:
                self.trace.add("infer", run)

    def looked_up(self, taken: Interval, *, hit: bool) -> None:
        """Note that a part was looked up in the response cache, and whether it was there."""
        self.cache.ns += taken.ns
        if hit:
            self.cache.hits += 1
        else:
            self.cache.misses += 1
        if self.trace is not None:
            self.trace.add("cache_lookup", taken)

    def kept(self, taken: Interval) -> None:
        """Note that what was missed there is kept."""
        self.cache.ns += taken.ns
        if self.trace is not None:
            self.trace.add("cache_insert", taken)

    def responded(self, taken: Interval) -> None:
        """Note how long the answer was made."""
        self.stages.compute_output_ns += taken.ns
        if self.trace is not None:
            self.trace.add("respond", taken)


@contextmanager
def recorded(statistics: Statistics, trace: StageTrace | None = None) -> Iterator[Record]:
    """Count the request that the block answers: as a success, or as a failure if it raises."""
    record = Record(trace=trace)
    start = time.perf_counter_ns()
    try:
        yield record
    except BaseException as err:
        if record.cache.misses:
            statistics.cache_miss.add(record.cache.ns)
        statistics.failed(_failure_reason(err), time.perf_counter_ns() - start)
        raise
    request_ns, cache = time.perf_counter_ns() - start, record.cache
    if cache.hits and not cache.misses:
        statistics.recalled(request_ns, cache.ns)
        return
    if cache.misses:
        statistics.cache_miss.add(cache.ns)
    statistics.succeeded(record.rows, request_ns, record.stages)


def _failure_reason(err: BaseException) -> FailureReason:
    if isinstance(err, QueueFull | QueueTimeout):
        return "REJECTED"
    if isinstance(err, asyncio.CancelledError | GeneratorExit):
        return "CANCELED"
    return "OTHER" if isinstance(err, ServerError) else "BACKEND"
