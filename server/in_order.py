"""`preserve_ordering`: requests of a version are answered in the order of their arrival.

A request is whole here: with its parts, with its decoding, and where the response cache has its answer.

Source: https://github.com/triton-inference-server/server/blob/main/docs/user_guide/batcher.md
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class InOrder:
    """The order of the requests of one version; used on the event loop alone."""

    def __init__(self) -> None:
        self._last: asyncio.Future[None] | None = None

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Answer a request within, which ends after all that came before it have ended.

        One that fails, or whose client leaves, waits for nobody, and those behind it do not wait for
        it but for those before it.
        """
        earlier = self._last
        turn = self._last = asyncio.get_running_loop().create_future()
        try:
            yield
            if earlier is not None:
                await asyncio.wait({earlier})
        finally:
            if earlier is None or earlier.done():
                turn.set_result(None)
            else:
                earlier.add_done_callback(lambda _: turn.set_result(None))
