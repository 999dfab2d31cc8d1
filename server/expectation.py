"""Whether somebody may soon join the requests that wait, and how long they wait for him.

Somebody is expected while his pictures are being decoded, or where he was answered less than
`max_queue_delay_microseconds` ago and has not asked again. So a lone client waits for nobody.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator

from server.waiting_line import Request


class Expectation:
    """Who is expected to join a queue.

    Args:
        delay_s: How long a request may wait for others; 0 expects nobody.
        wake: Called when the answer may have changed.
    """

    def __init__(self, delay_s: float, wake: Callable[[], None]) -> None:
        self._delay_s = delay_s
        self._wake = wake
        self._coming = 0
        self._answered: deque[float] = deque()
        self._end: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def coming(self) -> Iterator[None]:
        """Announce a request whose rows are still being made."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def came(self, request: Request) -> None:
        """Note that a request entered the queue: one who was answered has come back."""
        if self._delay_s:
            request.joinable_until_s = asyncio.get_running_loop().time() + self._delay_s
            if self._answered:
                self._answered.popleft()

    def answered(self) -> None:
        """Note that a request was answered, so that its client may come back."""
        if self._delay_s:
            self._answered.append(asyncio.get_running_loop().time())

    def anybody(self) -> bool:
        """Whether somebody may come soon."""
        if not self._delay_s:
            return False
        earliest = asyncio.get_running_loop().time() - self._delay_s
        while self._answered and self._answered[0] < earliest:
            self._answered.popleft()
        return self._coming > 0 or bool(self._answered)

    def limit_wait(self, front: Request | None) -> None:
        """Let the front of the queue wait no longer than it may, and than somebody may come."""
        if self._end is not None:
            self._end.cancel()
            self._end = None
        if front is None:
            return
        end_s = front.joinable_until_s
        if not self._coming and self._answered:
            end_s = min(end_s, self._answered[-1] + self._delay_s)
        self._end = asyncio.get_running_loop().call_at(end_s, self._end_wait, front)

    def _end_wait(self, request: Request) -> None:
        request.overdue = True
        self._wake()

    def _count(self, change: int) -> None:
        self._coming += change
        if self._delay_s:
            self._wake()
