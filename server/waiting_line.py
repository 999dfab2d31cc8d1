"""The requests that wait for a run, in the order in which they will be taken.

More urgent levels first, within a level by arrival, behind them those of the level whose time is
over. A long request leaves the line piece by piece. Nothing here waits or knows the time.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from server.durations import Interval
from server.errors import QueueFull
from server.execution import Row, Rows
from server.statistics import Stages

Signature = tuple[tuple[str, tuple[int, ...], np.dtype[np.generic]], ...]
"""Name, shape and datatype of a row's tensors; rows that share a run have the same."""


@dataclass(eq=False, slots=True)
class Request:
    """The rows of a request, from their arrival to their outputs.

    Attributes:
        inputs: Its tensors by name.
        rows: Its rows; 1 where the model has no batch axis.
        signature: What rows of other requests must equal to share a run with its own.
        level: Its priority level, from 1, the most urgent.
        arrived_ns: When it came, by `time.perf_counter_ns`.
        answer: Done when the last run has ended, or one has failed.
        taken: Its rows that were given to runs.
        left: Its rows whose outputs are still to come.
        late: Whether its time in the queue is over, and it gives way to the others of its level.
        joinable_until_s: How long it may wait for others to join it, by the loop's clock.
        overdue: Whether it has waited for that long.
        timer: Ends its time in the queue.
        parts: The outputs of its pieces by their first row.
        stages: How long it took so far.
        runs: When its runs ran the model.
    """

    inputs: Mapping[str, Rows]
    rows: int
    signature: Signature
    level: int
    arrived_ns: int
    answer: "asyncio.Future[None]"
    taken: int = 0
    left: int = field(init=False)
    late: bool = False
    joinable_until_s: float = 0.0
    overdue: bool = False
    timer: asyncio.TimerHandle | None = None
    parts: dict[int, Row] = field(default_factory=dict)
    stages: Stages = field(default_factory=Stages)
    runs: list[Interval] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left = self.rows


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a request that share a run: those from `start` to before `stop`."""

    request: Request
    start: int
    stop: int

    @property
    def inputs(self) -> Mapping[str, Rows]:
        """Its rows of each input."""
        request = self.request
        if self.stop - self.start == request.rows:
            return request.inputs
        return {name: rows[self.start : self.stop] for name, rows in request.inputs.items()}


def signature_of(inputs: Mapping[str, Rows]) -> Signature:
    """The signature of the rows of each input."""
    return tuple(
        (name, rows.shape[1:], rows.dtype)
        if isinstance(rows, np.ndarray)
        else (name, rows[0].shape, rows[0].dtype)
        for name, rows in inputs.items()
    )


class WaitingLine:
    """The requests that wait.

    Args:
        levels: Number of priority levels.
        max_rows: Most rows that may wait.
    """

    def __init__(self, levels: int, max_rows: int) -> None:
        self._in_time = [OrderedDict[Request, None]() for _ in range(levels)]
        self._late = [OrderedDict[Request, None]() for _ in range(levels)]
        self._max_rows = max_rows
        self._rows = 0
        self._coming_rows = 0

    def __iter__(self) -> Iterator[Request]:
        for in_time, late in zip(self._in_time, self._late, strict=True):
            yield from in_time
            yield from late

    def __len__(self) -> int:
        return sum(map(len, self._in_time)) + sum(map(len, self._late))

    def add(self, request: Request, max_requests: int = 0) -> None:
        """Let a request wait at the end of its level.

        Args:
            request: The request.
            max_requests: Most requests in the level; 0 for no limit.

        Raises:
            QueueFull: The level, or the whole line, is full.
        """
        self._check_room(request.level, request.rows, max_requests)
        self._in_time[request.level - 1][request] = None
        self._rows += request.rows

    @contextlib.contextmanager
    def keep_room(self, level: int, rows: int, max_requests: int = 0) -> Iterator[None]:
        """Keep the room of a request whose rows are still being made, so that it fits when it comes.

        Its level's limit is one of those who wait for a run alone.

        Raises:
            QueueFull: As `add`.
        """
        self._check_room(level, rows, max_requests)
        self._coming_rows += rows
        try:
            yield
        finally:
            self._coming_rows -= rows

    def remove(self, request: Request) -> bool:
        """Take a request out of the line; False if it is not in it."""
        line = self._line_of(request)
        if request not in line:
            return False
        del line[request]
        self._rows -= request.rows - request.taken
        return True

    def put_back(self, request: Request) -> None:
        """Let a request whose time is over give way to the others of its level."""
        del self._line_of(request)[request]
        request.late = True
        self._line_of(request)[request] = None

    def take(self, rows: int) -> list[Piece]:
        """Take `rows` rows from the front; the line must hold as many."""
        pieces: list[Piece] = []
        while rows:
            request = next(iter(self))
            start = request.taken
            stop = min(request.rows, start + rows)
            pieces.append(Piece(request, start, stop))
            request.taken = stop
            rows -= stop - start
            self._rows -= stop - start
            if stop == request.rows:
                del self._line_of(request)[request]
        return pieces

    def _check_room(self, level: int, rows: int, max_requests: int) -> None:
        waiting = len(self._in_time[level - 1]) + len(self._late[level - 1])
        if max_requests and waiting >= max_requests:
            raise QueueFull("requests", waiting, 1, max_requests)
        if (there := self._rows + self._coming_rows) + rows > self._max_rows:
            raise QueueFull("pictures", there, rows, self._max_rows)

    def _line_of(self, request: Request) -> OrderedDict[Request, None]:
        return (self._late if request.late else self._in_time)[request.level - 1]
