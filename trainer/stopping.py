"""A request to end, as SIGTERM is -> the end of the command at a moment when nothing is lost.

A training ends after the step that it is in, with a whole checkpoint of it; whatever comes before
and after leaves its results on the disk as it goes, and ends at once.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from trainer.errors import Stopped


class StopRequest:
    """Whether the command was asked to end."""

    def __init__(self) -> None:
        self.asked = False
        self._deferred = False

    def ask(self) -> None:
        """End at once, or, where that is deferred, as soon as the work at hand is safe.

        Raises:
            Stopped: It is not deferred.
        """
        self.asked = True
        if not self._deferred:
            raise Stopped

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Only note a request, for as long as somebody looks at `asked`.

        Raises:
            Stopped: There was one, and nobody did.
        """
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.asked:
            raise Stopped


@contextmanager
def stopping_on_sigterm() -> Iterator[StopRequest]:
    """Take SIGTERM for a request, in the main thread."""
    request = StopRequest()
    former = signal.signal(signal.SIGTERM, lambda *_: request.ask())
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, former)
