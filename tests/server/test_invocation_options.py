"""What the options of /invocations decide of a request."""

import asyncio
import threading
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from contract.options import build
from server.protocol.body import LARGE, Bodies
from server.protocol.http_errors import NotAcceptable, TimeOver
from server.protocol.invocations import Invocations
from server.runtime import Runtime
from server.settings import ServerOptions
from tests.live_server import live_server
from tests.picture_files import noise_png
from tests.repositories import repository
from tests.tiny_models import publish_colour_model

BODY = b'{"instances": []' + b" " * LARGE + b"}"
"""JSON that is parsed in the parser's thread."""

PATIENCE_S = 10.0
"""What the test waits for what should have come long before."""


async def receive() -> Message:
    return {"type": "http.request", "body": BODY}


def test_a_request_does_not_wait_longer_for_the_parser(tmp_path: Path, runtime: Runtime) -> None:
    publish_colour_model(tmp_path, "colour")
    options = build(ServerOptions, {"model_dir": ".", "invocations_timeout": 0.05})
    scope = {"type": "http", "headers": [(b"content-type", b"application/json")]}

    async def ask() -> None:
        bodies = Bodies(2 * LARGE, 10)
        parsed = threading.Event()  # another request's body, which takes for ever
        other = asyncio.create_task(bodies.parse(LARGE + 1, parsed.wait))
        async with repository(tmp_path, runtime) as served:
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


def answered(root: Path, runtime: Runtime, wanted: str, accept: str) -> Response:
    """The answer to a picture, given --invocations_accept and the header Accept."""
    publish_colour_model(root, "colour")
    options = build(ServerOptions, {"model_dir": ".", "invocations_accept": wanted})
    headers = [(b"content-type", b"image/png"), (b"accept", accept.encode())]

    async def picture() -> Message:
        return {"type": "http.request", "body": noise_png(1)}

    async def ask() -> Response:
        bodies = Bodies(LARGE, 10)
        async with repository(root, runtime) as served:
            invocations = Invocations(served, bodies, options)
            request = Request({"type": "http", "headers": headers}, picture)
            response, _ = await invocations.answer(request, served.find("colour"))
        bodies.stop()
        return response

    return asyncio.run(ask())


@pytest.mark.parametrize("accept", ["", "*/*", "*/*;q=0.8"])
def test_where_accept_leaves_it_open_the_option_decides(
    tmp_path: Path, runtime: Runtime, accept: str
) -> None:
    response = answered(tmp_path, runtime, "application/jsonlines", accept)
    assert response.headers["content-type"] == "application/jsonlines"


def test_a_form_that_the_option_names_and_the_task_lacks_is_not_blamed_on_the_client(
    tmp_path: Path, runtime: Runtime
) -> None:
    expected = "this server's --invocations_accept is 'image/nonsense'; the answer can be"
    with pytest.raises(NotAcceptable, match=expected):
        answered(tmp_path, runtime, "image/nonsense", "*/*")


@pytest.mark.parametrize("wanted", ["image/nonsense", "application/jsonlines;q=many"])
def test_a_form_that_no_served_task_has_is_told_once_at_the_start(
    tmp_path: Path, wanted: str
) -> None:
    for name in ("colour", "hue"):
        publish_colour_model(tmp_path / "models", name)
    flags = ("--model_repository", str(tmp_path / "models"), "--invocations_accept", wanted)
    with live_server(tmp_path / "log", *flags) as server:
        lines = server.log.read_text().splitlines()
    (line,) = [line for line in lines if "--invocations_accept" in line]
    assert "WARNING" in line
    assert line.endswith("every request that leaves Accept open is refused")


def test_a_form_that_a_served_task_has_is_no_matter(tmp_path: Path, runtime: Runtime) -> None:
    publish_colour_model(tmp_path, "colour")

    async def refusal(wanted: dict[str, str]) -> str:
        options = build(ServerOptions, {"model_dir": ".", **wanted})
        async with repository(tmp_path, runtime) as served:
            return Invocations(served, Bodies(LARGE, 10), options).refusal()

    assert asyncio.run(refusal({"invocations_accept": "application/jsonlines"})) == ""
    assert asyncio.run(refusal({})) == ""
