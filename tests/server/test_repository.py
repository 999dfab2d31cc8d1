"""The repository in this process: policies, modes, and how versions come and go."""

import asyncio
import json
import os
import re
import threading
from dataclasses import asdict
from pathlib import Path

import pytest

from contract.model_config import ModelConfig
from contract.repository import LARGEST_VERSION
from server.errors import ModelNotFound, NotExplicit, NotReady, RequestError
from server.protocol.http import json_response
from server.repository import Control
from server.runtime import Runtime
from server.sources import FolderSource, ModelFolder
from tests.onnx_graphs import Through, write_identity
from tests.repositories import (
    break_version,
    echo,
    explicit,
    policy,
    publish_versions,
    reason,
    repository,
    states,
)
from tests.tiny_models import publish_colour_model

PAIR = Through("", "FP32", ["n", 2])
IDENTITY = '{"backend": "onnxruntime"}'


def test_a_version_is_found_by_any_number_that_its_folder_may_have(
    tmp_path: Path, runtime: Runtime
) -> None:
    async def run() -> None:
        model_dir = publish_versions(tmp_path, "m", 3)
        numbers = [7, 1764417600000000000, LARGEST_VERSION]
        for old, new in zip((1, 2, 3), numbers, strict=True):
            (model_dir / str(old)).rename(model_dir / str(new))
        policy(model_dir, "all {}")
        async with repository(tmp_path, runtime) as served:
            model = served.find("m")
            assert [model.version(str(number)).number for number in numbers] == numbers
            assert model.version().number == LARGEST_VERSION
            with pytest.raises(
                RequestError, match="specified version string '9223372036854775808'"
            ):
                model.version(str(LARGEST_VERSION + 1))

    asyncio.run(run())


def test_the_policy_decides_which_versions_serve_side_by_side(
    tmp_path: Path, runtime: Runtime
) -> None:
    async def run() -> None:
        for name in ("newest", "two", "all", "some"):
            model_dir = publish_versions(tmp_path, name, 3)
            match name:
                case "two":
                    policy(model_dir, "latest { num_versions: 2 }")
                case "all":
                    policy(model_dir, "all {}")
                case "some":
                    policy(model_dir, "specific { versions: [1, 3, 9] }")
        async with repository(tmp_path, runtime) as served:
            assert served.ready
            numbers = {model.name: sorted(model.versions) for model in served.served()}
            assert numbers == {"newest": [3], "two": [2, 3], "all": [1, 2, 3], "some": [1, 3]}
            two = served.find("two")
            assert (two.version().number, two.version("2").number) == (3, 2)
            left_out = "Request for unknown model: 'two' version 1 is not found"
            with pytest.raises(ModelNotFound, match=left_out):
                two.version("1")
            with pytest.raises(
                RequestError, match=r"specified version string 'x' \(details: stoll\)"
            ):
                two.version("x")
            with pytest.raises(ModelNotFound, match="unknown model: 'nobody' is not found"):
                served.find("nobody")

    asyncio.run(run())


def test_one_broken_version_leaves_the_others_serving(tmp_path: Path, runtime: Runtime) -> None:
    async def run() -> None:
        model_dir = publish_versions(tmp_path, "m", 2)
        policy(model_dir, "all {}")
        break_version(model_dir, 3)
        async with repository(tmp_path, runtime) as served:
            assert states(served) == {"m 1": "READY", "m 2": "READY", "m 3": "UNAVAILABLE"}
            assert "onnxruntime cannot load it" in reason(served, "m 3")
            assert served.ready
            assert served.find("m").version().number == 2
            with pytest.raises(NotReady, match="'m' version 3 is not at ready state"):
                served.find("m").version("3")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            'input { name: "x" data_type: 99 dims: 2 }',
            r"input\[0\].data_type is 99; expected one of TYPE_INVALID, TYPE_BOOL,",
        ),
        (
            "instance_group { kind: 7 }",
            r"instance_group\[0\].kind is 7; expected one of KIND_AUTO,",
        ),
        (
            'model_warmup { name: "w" inputs { key: "x" value { data_type: 99 } } }',
            r"model_warmup\[0\].inputs\['x'\].data_type is 99; expected",
        ),
    ],
)
def test_a_number_that_the_schema_does_not_have_is_one_models_trouble(
    tmp_path: Path, runtime: Runtime, line: str, problem: str
) -> None:
    async def run() -> None:
        for name in ("bad", "good"):
            write_identity(tmp_path / name / "1" / "model.onnx", PAIR)
        config = tmp_path / "bad" / "config.pbtxt"
        config.write_text(line)
        async with repository(tmp_path, runtime) as served:
            assert states(served) == {"bad": "UNAVAILABLE", "good 1": "READY"}
            assert re.search(problem, reason(served, "bad"))
            assert await echo(served, "good") == [[1.5, 2.0]]

    asyncio.run(run())


def test_what_nobody_foresaw_is_one_models_reason_with_its_traceback_in_the_log(
    tmp_path: Path, runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    class Surprise(ModelFolder):
        def read_config(self) -> ModelConfig:
            raise RuntimeError("surprise")

    async def run() -> None:
        write_identity(tmp_path / "good" / "1" / "model.onnx", PAIR)
        async with repository(tmp_path, runtime) as served:
            failed = await served.bring(Surprise("bad", tmp_path / "good"))
            assert failed is not None
            assert states(served) == {"bad": "UNAVAILABLE", "good 1": "READY"}
            assert reason(served, "bad") == "internal error: RuntimeError('surprise')"
            assert "cannot serve model=bad" in caplog.text
            assert 'raise RuntimeError("surprise")' in caplog.text
            # The same of a model that serves: it goes on, and the index says why it is the old one.
            assert await served.bring(Surprise("good", tmp_path / "good")) is not None
            assert reason(served, "good 1") == "internal error: RuntimeError('surprise')"
            assert await echo(served, "good") == [[1.5, 2.0]]

    asyncio.run(run())


def test_names_that_are_no_text_leave_the_index_readable(tmp_path: Path, runtime: Runtime) -> None:
    async def run() -> None:
        for name in ("good", os.fsdecode(b"x\xff")):
            write_identity(tmp_path / name / "1" / "model.onnx", PAIR)
        async with repository(tmp_path, runtime) as served:
            assert states(served) == {"good 1": "READY"}
        async with repository(tmp_path / os.fsdecode(b"x\xff"), runtime) as served:
            (row,) = await served.index()
            assert row.state == "UNAVAILABLE"
            assert json.loads(bytes(json_response(asdict(row)).body))["reason"] == row.reason

    asyncio.run(run())


def test_the_repository_is_listed_beside_the_event_loop(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def names(_: FolderSource) -> list[str]:
        threads.append(threading.current_thread())
        return ["other"]

    async def run() -> None:
        write_identity(tmp_path / "m" / "1" / "model.onnx", PAIR)
        async with repository(tmp_path, runtime, explicit("m")) as served:
            assert [row.name for row in await served.index()] == ["m", "other"]
            assert len(threads) == 1
            assert threading.current_thread() not in threads
            assert [row.name for row in await served.index(only_ready=True)] == ["m"]
            assert len(threads) == 1, "what lies there and was never loaded is not ready"

    monkeypatch.setattr(FolderSource, "names", names)
    asyncio.run(run())


def test_a_policy_that_serves_nothing_is_a_reason(tmp_path: Path, runtime: Runtime) -> None:
    async def run() -> None:
        policy(publish_colour_model(tmp_path, "m"), "specific { versions: 7 }")
        async with repository(tmp_path, runtime) as served:
            assert not served.ready
            assert "under the version policy of model 'm'" in served.find("m").reason
            with pytest.raises(NotReady, match="under the version policy"):
                served.find("m").version()

    asyncio.run(run())


@pytest.mark.parametrize(("strict", "ready"), [(True, False), (False, True)])
def test_without_strict_readiness_a_broken_model_does_not_matter(
    tmp_path: Path, runtime: Runtime, strict: bool, ready: bool
) -> None:
    async def run() -> None:
        break_version(tmp_path / "m", 1)
        control = Control(strict_readiness=strict)
        async with repository(tmp_path, runtime, control) as served:
            assert served.ready == ready
            served.draining = True
            assert not served.ready

    asyncio.run(run())


def test_models_without_config_are_served_with_every_layout(
    tmp_path: Path, runtime: Runtime
) -> None:
    async def run() -> None:
        write_identity(tmp_path / "plain" / "1" / "model.onnx", PAIR)
        write_identity(tmp_path / "folder" / "4" / "model.onnx" / "model.onnx", PAIR)
        write_identity(tmp_path / "named" / "1" / "net.onnx", PAIR)
        (tmp_path / "named" / "config.pbtxt").write_text('default_model_filename: "net.onnx"')
        async with repository(tmp_path, runtime) as served:
            assert served.ready, await served.index()
            for name in ("plain", "folder", "named"):
                assert await echo(served, name) == [[1.5, 2.0]]
            config = served.find("plain").version().config
            assert (config.name, config.max_batch_size) == ("plain", 4)

    asyncio.run(run())


def test_only_explicit_mode_loads_and_unloads_by_request(tmp_path: Path, runtime: Runtime) -> None:
    async def run() -> None:
        publish_colour_model(tmp_path, "m")
        for control in (Control("none"), Control("poll")):
            async with repository(tmp_path, runtime, control) as served:
                text = "explicit model load / unload is not allowed if polling is enabled"
                with pytest.raises(NotExplicit, match=text):
                    await served.load("m")
                with pytest.raises(NotExplicit, match=text):
                    await served.unload("m")
                assert states(served) == {"m 1": "READY"}

    asyncio.run(run())


def test_explicit_mode_starts_with_the_named_models(tmp_path: Path, runtime: Runtime) -> None:
    async def run() -> None:
        for name in ("a", "b"):
            publish_colour_model(tmp_path, name)
        for names, expected in (
            ((), {"a": "", "b": ""}),
            (("a",), {"a 1": "READY", "b": ""}),
            (("*",), {"a 1": "READY", "b 1": "READY"}),
        ):
            async with repository(tmp_path, runtime, explicit(*names)) as served:
                assert served.ready
                assert states(served) == expected
        async with repository(tmp_path, runtime, explicit("absent")) as served:
            assert not served.ready
            assert "failed to poll from model repository" in served.find("absent").reason

    asyncio.run(run())
