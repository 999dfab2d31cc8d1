"""The bytes of all requests that are received or answered at a time, within one limit.

Each request has limits of its own; without one for all of them, as many as come at once would take
the memory of the whole server. gRPC tells of a message when it is whole.
"""

from types import TracebackType
from typing import Self

from server.errors import InFlightFull


class InFlight:
    """Counts the bytes of requests under way; all of it happens on the event loop.

    Args:
        limit_bytes: What they may have together.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0

    def holding(self, size: int = 0) -> "Held":
        """What a request has, whose first `size` bytes came; given back when its block ends.

        Raises:
            InFlightFull: There is no room for them.
        """
        held = Held(self)
        if not held.add(size):
            raise InFlightFull(self.limit_bytes)
        return held


class Held:
    """What one request has of what all may have."""

    __slots__ = ("_all", "_size")

    def __init__(self, all_requests: InFlight) -> None:
        self._all = all_requests
        self._size = 0

    @property
    def limit_bytes(self) -> int:
        """What all requests may have together."""
        return self._all.limit_bytes

    def add(self, size: int) -> bool:
        """Have `size` bytes more, if there is room for them; returns whether there was.

        One that is alone has room, whatever its size.
        """
        held_bytes = self._all.held_bytes
        if held_bytes > self._size and held_bytes + size > self._all.limit_bytes:
            return False
        self._all.held_bytes += size
        self._size += size
        return True

    def give_back(self) -> None:
        """Have nothing any more."""
        self._all.held_bytes -= self._size
        self._size = 0

    def __enter__(self) -> Self:
        """Have what was added until the block ends."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _err: BaseException | None, _: TracebackType | None
    ) -> None:
        """Give all of it back."""
        self.give_back()
