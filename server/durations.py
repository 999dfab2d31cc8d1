"""How long things took: sums and histograms of nanoseconds by `time.perf_counter_ns`."""

import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from contract.model_config import Json

BUCKETS_S: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Upper bounds of a histogram's buckets in seconds; above the last there is one more bucket."""

_BUCKETS_NS: Final = tuple(round(bound * 1e9) for bound in BUCKETS_S)


@dataclass(slots=True)
class Duration:
    """How often something happened, and how long that took altogether.

    Attributes:
        count: How often.
        ns: Nanoseconds altogether.
    """

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        """Count one more, of `ns` nanoseconds."""
        self.count += 1
        self.ns += ns

    def to_json(self) -> dict[str, Json]:
        """As the statistics extension prints it."""
        return {"count": self.count, "ns": self.ns}


@dataclass(slots=True)
class Histogram(Duration):
    """The same, and how often it took how long.

    Attributes:
        buckets: How often it took at most each of BUCKETS_S, and no less than the one before;
            at the end, how often it took longer.
    """

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))

    def add(self, ns: int) -> None:
        """Count one more, of `ns` nanoseconds."""
        self.count += 1
        self.ns += ns
        self.buckets[bisect_left(_BUCKETS_NS, ns)] += 1


@dataclass(slots=True)
class Interval:
    """A stretch of time, by `time.perf_counter_ns`.

    Attributes:
        start_ns: When it began.
        end_ns: When it ended; as long as it has not, its beginning.
    """

    start_ns: int
    end_ns: int

    @property
    def ns(self) -> int:
        """How long it took."""
        return self.end_ns - self.start_ns


@contextmanager
def timed() -> Iterator[Interval]:
    """How long the block took, once it has ended, whether well or not."""
    start = time.perf_counter_ns()
    taken = Interval(start, start)
    try:
        yield taken
    finally:
        taken.end_ns = time.perf_counter_ns()
