"""Threads that fetch objects beside a block that follows them: begun and ended with it."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Final

_LEAVE_SECONDS: Final = 2.0


@contextmanager
def at_work(jobs: Sequence[Callable[[], None]], stop: threading.Event) -> Iterator[None]:
    """Run each job in a thread of its own; at the block's end `stop` is set, and they are awaited.

    They are awaited for a while alone: a store that hangs must not hold up a process that is ended.
    """
    threads = [Thread(target=job, daemon=True) for job in jobs]
    try:
        for thread in threads:
            thread.start()
        yield
    finally:
        stop.set()
        end = time.monotonic() + _LEAVE_SECONDS
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))
