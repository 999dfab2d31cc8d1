"""The time that an invocation may take is that of its whole work."""

import asyncio
import threading
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.types import Message

from contract.options import build
from server.decoder import Decoder
from server.errors import TimeOver
from server.protocol.body import LARGE, Bodies
from server.protocol.invocations import Invocations
from server.settings import ServerOptions
from tests.repositories import repository
from tests.tiny_models import publish_colour_model

BODY = b'{"instances": []' + b" " * LARGE + b"}"
"""JSON that is parsed in the parser's thread."""

PATIENCE_S = 10.0
"""What the test waits for what should have come long before."""


async def receive() -> Message:
    return {"type": "http.request", "body": BODY}


def test_a_request_does_not_wait_longer_for_the_parser(tmp_path: Path, decoder: Decoder) -> None:
    publish_colour_model(tmp_path, "colour")
    options = build(ServerOptions, {"model_dir": ".", "invocations_timeout": 0.05})
    scope = {"type": "http", "headers": [(b"content-type", b"application/json")]}

    async def ask() -> None:
        bodies = Bodies(2 * LARGE, 10)
        parsed = threading.Event()  # another request's body, which takes for ever
        other = asyncio.create_task(bodies.parse(LARGE + 1, parsed.wait))
        async with repository(tmp_path, decoder) as served:
            invocations = Invocations(served, bodies, options)
            answer = invocations.answer(Request(scope, receive), served.find("colour"))
            try:
                await asyncio.wait_for(answer, PATIENCE_S)
            finally:
                parsed.set()
                await other
                bodies.stop()

    with pytest.raises(TimeOver, match=r"not answered within 0\.05 s"):
        asyncio.run(ask())
