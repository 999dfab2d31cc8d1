"""When a container says that it may be asked."""

import asyncio
from pathlib import Path
from unittest.mock import Mock

import orjson

from contract.options import build
from server.media_types import JSON, JSON_LINES
from server.protocol.answers import joined
from server.protocol.body import Bodies
from server.protocol.invocations import Invocations, execution_parameters
from server.repository import Control
from server.runtime import Runtime
from server.settings import ServerOptions
from tests.repositories import break_version, repository
from tests.tiny_models import publish_colour_model

OPTIONS = build(ServerOptions, {"model_dir": "."})


def ping(root: Path, runtime: Runtime, *, draining: bool = False) -> tuple[int, str]:
    """The status of /ping, and the reason."""

    async def ask() -> tuple[int, str]:
        bodies = Bodies(1000, 10)
        async with repository(root, runtime, Control(strict_readiness=True)) as served:
            served.draining = draining
            response = await Invocations(served, bodies, OPTIONS).ping(Mock())
        bodies.stop()
        body = bytes(response.body)
        return response.status_code, orjson.loads(body)["error"] if body else ""

    return asyncio.run(ask())


def test_a_container_whose_models_answer_may_be_asked(tmp_path: Path, runtime: Runtime) -> None:
    publish_colour_model(tmp_path, "colour")
    assert ping(tmp_path, runtime) == (200, "")


def test_a_broken_model_is_named(tmp_path: Path, runtime: Runtime) -> None:
    publish_colour_model(tmp_path, "colour")
    break_version(tmp_path / "broken", 1)
    status, reason = ping(tmp_path, runtime)
    assert status == 503
    assert reason.startswith("model 'broken': ")


def test_a_container_without_a_model_or_about_to_stop_may_not_be_asked(
    tmp_path: Path, runtime: Runtime
) -> None:
    assert ping(tmp_path, runtime)[0] == 503
    publish_colour_model(tmp_path, "colour")
    assert ping(tmp_path, runtime, draining=True)[0] == 503


def test_transforms_under_way_send_up_to_100_mb() -> None:
    def at_once(**given: int) -> object:
        options = build(ServerOptions, {"model_dir": "."}, given)
        return execution_parameters(options)["MaxConcurrentTransforms"]

    assert at_once() == 16
    assert at_once(max_payload_in_mb=100) == 1
    assert at_once(max_payload_in_mb=0) == 100
    assert at_once(max_payload_in_mb=0, max_instances=5) == 5
    assert at_once(max_concurrent_transforms=3) == 3


def test_the_answers_of_a_request_are_one_body_and_no_answer_is_copied() -> None:
    answers = [orjson.dumps([index, 0.5]) + b"\n" for index in range(3)]
    listed = joined(JSON, answers)
    assert orjson.loads(b"".join(listed)) == [[0, 0.5], [1, 0.5], [2, 0.5]]
    lines = joined(JSON_LINES, answers)
    assert b"".join(lines) == b"[0,0.5]\n[1,0.5]\n[2,0.5]\n"
    for pieces in (listed, lines):
        assert all(any(piece is answer for piece in pieces) for answer in answers)
