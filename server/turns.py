"""Long work in threads, which leaves the event loop its turns.

What is short is done on the loop: a thread would cost more.

CPython has a thread give up the interpreter to one that waited for a whole switch interval. But a
thread that lets go of it for some microseconds, as numpy and os.urandom do, wakes the waiting one,
which finds it taken again and starts to wait anew: so one thread can keep it for hundreds of
milliseconds, whatever the interval is, and health is not answered meanwhile.

Source: take_gil in Python/ceval_gil.h of CPython 3.11; https://bugs.python.org/issue7946.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

_LARGE_BYTES: Final = 2**20  # hashing or copying so much takes about a millisecond
_TURN_S: Final = 2e-3
_PAUSE_S: Final = 1e-4
"""Long enough for a thread on another core to wake up and take the interpreter."""

MadeT = TypeVar("MadeT")
PieceT = TypeVar("PieceT")


async def beside_loop(size: int, job: Callable[[], MadeT], large: int = _LARGE_BYTES) -> MadeT:
    """What a job makes; in a thread where it has more than `large` bytes to work at.

    Raises:
        Exception: Whatever it raises.
    """
    return await asyncio.to_thread(job) if size > large else job()


def in_turns(pieces: Iterable[PieceT]) -> Iterator[PieceT]:
    """The pieces of a long work, with a pause after each 2 ms in which other threads run.

    Args:
        pieces: What is worked at; each should take less than that.
    """
    turn_ends = time.perf_counter() + _TURN_S
    for piece in pieces:
        yield piece
        if time.perf_counter() >= turn_ends:
            time.sleep(_PAUSE_S)
            turn_ends = time.perf_counter() + _TURN_S
