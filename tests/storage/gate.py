"""A TCP relay before the S3 server that holds requests back, to see how many come at once."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


class Gate:
    """Holds the downloads of objects until so many wait; then it is open for good.

    Attributes:
        url: Where clients send their requests.
        waiting: Downloads that wait now.
        most: And the most that ever did.
    """

    def __init__(self, target: str, opens_at: int | None) -> None:
        self.url = ""
        self.waiting = self.most = 0
        self._target = urlsplit(target)
        self._opens_at = opens_at
        self._is_open = asyncio.Event()

    async def serve(self, ready: threading.Event, end: asyncio.Event) -> None:
        """Relay until `end` is set."""
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await end.wait()
        server.close()
        here = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not here]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # until the transports that they closed are gone

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(
            self._target.hostname, self._target.port
        )
        down = asyncio.create_task(_pump(up_reader, writer))
        try:
            while data := await reader.read(1 << 16):
                if b"/models/" in data.partition(b"\r\n")[0]:
                    await self._hold()
                up_writer.write(data)
        except (OSError, asyncio.CancelledError):
            down.cancel()
        finally:
            up_writer.close()
            writer.close()
            await asyncio.gather(down, return_exceptions=True)

    async def _hold(self) -> None:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        if self.waiting == self._opens_at:
            self._is_open.set()
        await self._is_open.wait()
        self.waiting -= 1


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()


@contextlib.contextmanager
def gate(target: str, opens_at: int | None = None) -> Iterator[Gate]:
    """A relay to `target`; it never opens if no number is given."""
    made = Gate(target, opens_at)
    ready, loop, end = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(made.serve(ready, end)))
    thread.start()
    try:
        assert ready.wait(30)
        yield made
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        loop.close()
