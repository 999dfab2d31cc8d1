import asyncio
import json

import numpy as np
import pytest

from server.protocol.http import json_response, list_json
from tests.event_loop import counted_turns


async def written(items: object) -> tuple[bytes, int]:
    """The JSON of a list in an object, and how often the event loop came round meanwhile."""
    async with counted_turns() as turns:
        body = bytes(json_response({"a": await list_json(items)}).body)
        return body, turns()


@pytest.mark.parametrize(("count", "free"), [(0, False), (1, False), (16, False), (17, True)])
def test_a_list_of_many_answers_is_written_beside_the_event_loop(count: int, free: bool) -> None:
    label = {"label": "日本", "score": 0.5}
    items = [[label, np.arange(i)] for i in range(count)]
    body, turns = asyncio.run(written(items))
    assert (turns > 0) == free
    assert json.loads(body) == {"a": [[label, list(range(i))] for i in range(count)]}


def test_what_is_no_list_is_written_as_it_is() -> None:
    assert asyncio.run(written({"b": 1}))[0] == b'{"a":{"b":1}}'
