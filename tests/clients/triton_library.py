"""One way to call any of tritonclient's four libraries, for the programs that compare them."""

import inspect
from collections.abc import AsyncIterator, Callable, Sequence
from queue import Queue
from typing import Any

from tritonclient.utils import InferenceServerException


async def done(value: Any) -> Any:
    """The value of a call of either kind of library."""
    return await value if inspect.isawaitable(value) else value


async def refused(make: Callable[[], Any]) -> list[str]:
    """Status and text of the error that a call must end with."""
    try:
        await done(make())
    except InferenceServerException as err:
        return [str(err.status()), str(err.message())]
    raise AssertionError("no error")


async def stream_answers(client: Any, asked: Sequence[dict[str, Any]]) -> list[tuple[Any, Any]]:
    """Result and error of each request of a stream, which gRPC alone has."""
    if not hasattr(client, "start_stream"):

        async def requests() -> AsyncIterator[dict[str, Any]]:
            for one in asked:
                yield one

        return [answer async for answer in client.stream_infer(requests())]
    answered: Queue[tuple[Any, Any]] = Queue()
    client.start_stream(lambda result, error: answered.put((result, error)))
    for one in asked:
        client.async_stream_infer(**one)
    answers = [answered.get(timeout=30) for _ in asked]
    client.stop_stream()
    return answers
