import asyncio
import json
import weakref
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message

from server.protocol.http import json_response, response_of
from server.protocol.long_json import flat_json
from server.protocol.packed_answers import PackedAnswers
from tests.event_loop import counted_turns


async def sent(
    response: ASGIApp, headers: Sequence[tuple[bytes, bytes]] = ()
) -> tuple[list[Message], int]:
    """What a response sends to a client that reads at once, and the turns of the loop meanwhile."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        raise AssertionError("a response reads nothing")

    async with counted_turns() as turns:
        await response({"type": "http", "path": "/", "headers": headers}, receive, send)
        return messages, turns()


@pytest.mark.parametrize("headers", [[], [(b"accept-encoding", b"deflate")]])
def test_a_long_answer_is_sent_in_pieces_that_leave_the_event_loop_free(
    headers: list[tuple[bytes, bytes]],
) -> None:
    numbers = np.random.default_rng(0).normal(size=300_000)
    response = PackedAnswers(json_response({"a": flat_json(numbers)}))
    (head, *pieces), turns = asyncio.run(sent(response, headers))
    bodies = [piece["body"] for piece in pieces]
    body = b"".join(bodies)
    assert (b"content-length", str(len(body)).encode()) in head["headers"]
    assert [piece["more_body"] for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert max(map(len, bodies)) < 1 << 20
    assert turns >= len(pieces) - 1 > len(body) >> 20
    assert json.loads(zlib.decompress(body) if headers else body) == {"a": numbers.tolist()}


def test_a_piece_is_let_go_of_when_it_is_sent() -> None:
    """To let go of a hundred megabytes at the end would hold the event loop."""
    pieces = [memoryview(bytes(1 << 18)) for _ in range(8)]
    alive = [weakref.ref(piece) for piece in pieces]
    response = response_of(pieces, 200, {})
    del pieces
    left: list[int] = []

    async def send(_message: Message) -> None:
        left.append(sum(piece() is not None for piece in alive))

    async def receive() -> Message:
        raise AssertionError("a response reads nothing")

    asyncio.run(response({"type": "http"}, receive, send))
    assert left[0] == 8
    assert left[1:] == sorted(left[1:], reverse=True)
    assert left[-1] <= 1


def test_a_short_answer_is_sent_at_once() -> None:
    (_, piece), _ = asyncio.run(sent(json_response({"a": [1]})))
    assert piece["body"] == b'{"a":[1]}'


@given(st.lists(st.integers(0, 1 << 20), max_size=8))
def test_pieces_of_any_length_are_sent_in_their_order(sizes: list[int]) -> None:
    pieces = [bytes([index]) * size for index, size in enumerate(sizes)]
    (_, *portions), _ = asyncio.run(sent(response_of(pieces, 200, {})))
    bodies = [portion["body"] for portion in portions]
    assert b"".join(bodies) == b"".join(pieces)
    assert max(map(len, bodies)) <= 1 << 18


def test_long_pieces_are_sent_where_they_lie() -> None:
    """A copy of a hundred megabytes would hold the interpreter."""
    pieces = [bytes(1 << 19), bytes(1 << 19)]
    (_, *portions, _), _ = asyncio.run(sent(response_of(pieces, 200, {})))
    assert len(portions) == 4
    assert all(portions[i]["body"].obj is pieces[i // 2] for i in range(4))
