"""Threads that fetch objects beside a block that follows them: begun and ended with it.

A download is mostly waiting, so several wait at once. The threads are daemons, so that nobody waits
for a network that has stalled.
"""

import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Final, Generic, TypeAlias, TypeVar

ItemT = TypeVar("ItemT")

Fetch: TypeAlias = Callable[[ItemT, threading.Event], None]
"""Fetches an item, and gives it up once the event is set."""

_LEAVE_SECONDS: Final = 2.0


@contextmanager
def fetched(items: Collection[ItemT], fetches: Sequence[Fetch[ItemT]]) -> Iterator[Iterator[ItemT]]:
    """Fetch items in as many threads as there are `fetches`; gives each item once it is there.

    The iterator raises what a thread failed at. At the block's end the threads are told to end, and
    awaited for a while alone: a store that hangs must not hold up a process that is ended.
    """
    shared: _Shared[ItemT] = _Shared()
    for item in items:
        shared.todo.put(item)
    threads = [Thread(target=shared.work, args=(fetch,), daemon=True) for fetch in fetches]
    try:
        for thread in threads:
            thread.start()
        yield shared.follow(len(items))
    finally:
        shared.stop.set()
        end = time.monotonic() + _LEAVE_SECONDS
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))


@dataclass(frozen=True, slots=True)
class _Shared(Generic[ItemT]):
    """What the threads and who follows them share.

    Attributes:
        todo: Items to be fetched.
        done: Those that were, and what went wrong with the last one of a thread.
        stop: Ends the threads.
    """

    todo: "queue.SimpleQueue[ItemT]" = field(default_factory=queue.SimpleQueue)
    done: "queue.SimpleQueue[tuple[ItemT, BaseException | None]]" = field(
        default_factory=queue.SimpleQueue
    )
    stop: threading.Event = field(default_factory=threading.Event)

    def work(self, fetch: Fetch[ItemT]) -> None:
        """Fetch one item after the other, until there are no more or one fails."""
        while not self.stop.is_set():
            try:
                item = self.todo.get_nowait()
            except queue.Empty:
                return
            try:
                fetch(item, self.stop)
            except BaseException as err:  # whoever follows raises it
                self.done.put((item, err))
                return
            self.done.put((item, None))

    def follow(self, count: int) -> Iterator[ItemT]:
        """The first `count` items in the order in which they are there."""
        for _ in range(count):
            item, err = self.done.get()
            if err is not None:
                raise err
            yield item
