"""An event loop whose clock jumps to the next timer: hours pass in no time, in the same order.

A loop in which nothing can happen any more fails instead of waiting for ever.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class _JumpingSelector(selectors.DefaultSelector):
    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise AssertionError("somebody waits, and nothing can wake him up")
        self.now_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop of virtual seconds."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


class VirtualExecutor(Executor):
    """Runs each job at once, and gives its result when `duration_s()` virtual seconds are over."""

    def __init__(self, duration_s: Callable[[], float] = lambda: 0.0) -> None:
        self._duration_s = duration_s

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        loop = asyncio.get_running_loop()
        try:
            result = fn(*args, **kwargs)
        except Exception as err:
            loop.call_later(self._duration_s(), future.set_exception, err)
        else:
            loop.call_later(self._duration_s(), future.set_result, result)
        return future


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
