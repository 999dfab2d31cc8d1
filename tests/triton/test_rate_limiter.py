"""What a rate limiter refuses at load, in Triton's words; each server has the same models and flags."""

import re
from pathlib import Path

import httpx
import pytest

from tests.live_server import LiveServer, start_server
from tests.tiny_models import publish_colour_model
from tests.triton.reference import STRICT, killed, make_backends, start_triton

MODELS = {
    "few": 'resources { name: "R1" count: 4 } priority: 2',
    "many": 'resources { name: "R1" count: 20 }',
    "lower_case": 'resources { name: "r1" count: 4 }',
    "other": 'resources { name: "R2" count: 1 }',
    "shared": 'resources { name: "R3" global: true count: 2 }',
    "nothing": "priority: 3",
}
FLAGS = {
    "off": ("--rate-limit=off", "--rate-limit-resource=R1:1"),
    "default": ("--rate-limit=execution_count",),
    "given": (
        "--rate-limit=execution_count",
        "--rate-limit-resource=R1:10",
        "--rate-limit-resource=R3:1:0",
        "--rate-limit-resource=R3:2:7",
    ),
    "of_a_device": ("--rate-limit=execution_count", "--rate-limit-resource=R1:20:0"),
    "of_no_device": ("--rate-limit=execution_count", "--rate-limit-resource=R1:20:5"),
}


def write_models(repository: Path) -> None:
    for name, text in MODELS.items():
        config = publish_colour_model(repository, name) / "config.pbtxt"
        group = f"instance_group {{ count: 1 kind: KIND_CPU rate_limiter {{ {text} }} }}\n"
        config.write_text(config.read_text() + group)


def refusals(server: LiveServer) -> dict[str, str]:
    """Why a model is not served, or the empty string, by name."""
    rows = httpx.post(f"{server.url}/v2/repository/index", json={}).json()
    prefix = "Invalid argument: "
    return {
        row["name"]: "" if row["state"] == "READY" else row["reason"].removeprefix(prefix)
        for row in rows
    }


@pytest.mark.parametrize("name", FLAGS)
def test_both_refuse_the_same_instances(tmp_path: Path, name: str) -> None:
    write_models(tmp_path / "repository")
    backends = make_backends(tmp_path / "backends")
    flags = FLAGS[name]
    with killed(start_triton(tmp_path, tmp_path / "repository", backends, *STRICT, *flags)) as one:
        triton = refusals(one)
    own = ("--model-repository", str(tmp_path / "repository"), "--strict-readiness=false")
    with killed(start_server(tmp_path / "log", *own, "--provider=cpu", *flags)) as server:
        assert refusals(server) == triton
    assert triton.keys() == MODELS.keys()
    assert any(triton.values()) == (name not in ("off", "default"))


@pytest.mark.parametrize("text", ["R1", "R1:x", "R1:10:0:1"])
def test_both_refuse_a_resource_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "repository").mkdir()
    flag = f"--rate-limit-resource={text}"
    triton = start_triton(tmp_path, tmp_path / "repository", tmp_path, flag)
    assert triton.process.wait(60) != 0
    assert re.search(r"--rate-limit-resource.*\n.*Got ", triton.log.read_text())
    ours = start_server(tmp_path / "log", "--model_repository", str(tmp_path / "repository"), flag)
    assert ours.process.wait(60) == 2
    assert f"rate_limit_resource: got '{text}'" in ours.log.read_text()
