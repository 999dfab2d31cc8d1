"""Models loaded and unloaded by request, in mode explicit."""

import asyncio
import json
import shutil
import tempfile
import threading
from http import HTTPStatus
from pathlib import Path

import grpc
import numpy as np
import pytest

from server.errors import LoadFailed, ModelNotFound, NotPolled
from server.repository import Repository
from server.runtime import Runtime
from server.sources import ModelFolder
from server.stamps import ModelStamp, stamp_model
from server.tensors import InferRequest, tensor_from_json
from tests.onnx_graphs import Through, identity_graph, write_identity
from tests.repositories import (
    break_version,
    echo,
    explicit,
    reason,
    repository,
    states,
    until,
)
from tests.tiny_models import publish_colour_model

PAIR = Through("", "FP32", ["n", 2])
IDENTITY = '{"backend": "onnxruntime"}'


def test_load_and_unload_and_load_again(tmp_path: Path, runtime: Runtime) -> None:
    async def run() -> None:
        publish_colour_model(tmp_path, "m")
        async with repository(tmp_path, runtime, explicit()) as served:
            await served.load("m")
            model = served.find("m")
            first = model.version()
            await served.load("m")
            assert model.version() is first, "nothing changed, so nothing is loaded anew"
            publish_colour_model(tmp_path, "m")
            await served.load("m")
            assert model.version().number == 2
            await until(lambda: states(served) == {"m 1": "UNAVAILABLE", "m 2": "READY"})
            assert reason(served, "m 1") == "unloaded"
            await served.unload("m")
            with pytest.raises(ModelNotFound, match="'m' has no available versions"):
                model.version()
            await until(lambda: states(served)["m 2"] == "UNAVAILABLE")
            assert served.served() == []
            assert served.ready
            await served.unload("m")
            await served.unload("nobody")
            await served.load("m")
            assert model.version().number == 2

    asyncio.run(run())


def test_what_cannot_be_loaded_says_why_and_changes_nothing(
    tmp_path: Path, runtime: Runtime
) -> None:
    async def run() -> None:
        model_dir = publish_colour_model(tmp_path, "m")
        async with repository(tmp_path, runtime, explicit("m")) as served:
            with pytest.raises(NotPolled, match="failed to load 'x', failed to poll from model"):
                await served.load("x")
            break_version(model_dir, 2)
            broken = (
                "load failed for model 'm': version 2 is at UNAVAILABLE state: .*cannot load it"
            )
            with pytest.raises(LoadFailed, match=broken):
                await served.load("m")
            assert states(served) == {"m 1": "READY", "m 2": "UNAVAILABLE"}
            config = model_dir / "config.pbtxt"
            text = config.read_text()
            config.write_text("nonsense")
            with pytest.raises(LoadFailed, match=r"failed to poll .* is not a Triton model config"):
                await served.load("m")
            assert served.ready
            assert served.find("m").version().number == 1
            (tmp_path / "bad").mkdir()
            (tmp_path / "bad" / "config.pbtxt").write_text("nonsense")
            tried = (served.load("bad") for _ in range(2))
            failed = await asyncio.gather(*tried, return_exceptions=True)
            assert all("failed to load 'bad'" in str(one) for one in failed)
            assert "is not a Triton model configuration" in reason(served, "bad")
            assert served.ready, "a request for what cannot be served harms nobody else"
            with pytest.raises(ModelNotFound, match="'bad' has no available versions"):
                served.find("bad").version()
            shutil.rmtree(tmp_path / "bad")
            config.write_text(text)
            shutil.rmtree(model_dir / "2")
            await served.load("m")
            assert states(served) == {"bad": "UNAVAILABLE", "m 1": "READY"}
            assert served.find("m").reason == ""

    asyncio.run(run())


def test_what_this_server_does_not_have_is_unsupported(tmp_path: Path, runtime: Runtime) -> None:
    async def run() -> None:
        write_identity(tmp_path / "m" / "1" / "model.onnx", PAIR)
        async with repository(tmp_path, runtime, explicit()) as served:
            with pytest.raises(LoadFailed, match="sequence_batching is not served") as refused:
                await served.load("m", '{"backend": "onnxruntime", "sequence_batching": {}}')
            assert refused.value.status == HTTPStatus.NOT_IMPLEMENTED
            assert refused.value.grpc_code is grpc.StatusCode.UNIMPLEMENTED
            with pytest.raises(LoadFailed) as refused:
                await served.load("m", '{"backend": "python"}')
            assert refused.value.status == HTTPStatus.BAD_REQUEST
            await served.load("m", IDENTITY)

    asyncio.run(run())


def test_a_load_that_finds_all_well_forgets_the_one_that_failed(
    tmp_path: Path, runtime: Runtime
) -> None:
    async def run() -> None:
        write_identity(tmp_path / "m" / "1" / "model.onnx", PAIR)
        async with repository(tmp_path, runtime, explicit("m")) as served:
            serving = served.find("m").version()
            with pytest.raises(LoadFailed, match="sequence_batching is not served"):
                await served.load("m", '{"backend": "onnxruntime", "sequence_batching": {}}')
            assert "sequence_batching is not served" in reason(served, "m 1")
            await served.load("m")
            assert reason(served, "m 1") == served.find("m").reason == ""
            assert served.find("m").version() is serving, "nothing changed"

    asyncio.run(run())


def test_a_request_may_bring_a_configuration(tmp_path: Path, runtime: Runtime) -> None:
    async def run() -> None:
        write_identity(tmp_path / "m" / "1" / "model.onnx", PAIR)
        write_identity(tmp_path / "m" / "2" / "model.onnx", PAIR)
        async with repository(tmp_path, runtime, explicit("m")) as served:
            override = {"max_batch_size": 7, "version_policy": {"all": {}}}
            await served.load("m", json.dumps(override))
            model = served.find("m")
            assert sorted(model.versions) == [1, 2]
            assert model.version("1").config.max_batch_size == 7
            version = model.version()
            await served.load("m", json.dumps(override))
            assert model.version() is version
            await served.load("m")
            assert model.version().config.max_batch_size == 4, "the override is undone"
            assert sorted(model.versions) == [2]

    asyncio.run(run())


def test_a_request_may_bring_files(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        files = {"file:5/model.onnx": identity_graph(PAIR).SerializeToString()}
        async with repository(tmp_path / "models", runtime, explicit()) as served:
            await served.load("m", IDENTITY, files)
            assert states(served) == {"m 5": "READY"}
            assert await echo(served, "m") == [[1.5, 2.0]]
            with pytest.raises(LoadFailed, match="files need a configuration"):
                await served.load("m", None, files)
            with pytest.raises(LoadFailed, match="version 1 is at UNAVAILABLE state"):
                await served.load("m", IDENTITY, {"file:1/model.onnx": b"x"})
            assert await echo(served, "m") == [[1.5, 2.0]], "what served goes on"
            await served.unload("m")
            with pytest.raises(NotPolled):
                await served.load("m")
        assert list((tmp_path / "private").iterdir()) == []

    for name in ("models", "private"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "private"))
    asyncio.run(run())


def test_a_version_is_stopped_only_when_its_last_request_ends(
    tmp_path: Path, runtime: Runtime
) -> None:
    async def run() -> None:
        write_identity(tmp_path / "m" / "1" / "model.onnx", PAIR)
        request = InferRequest("", (tensor_from_json("x", "FP32", [1, 2], [[1, 2]]),))
        async with repository(tmp_path, runtime, explicit("m")) as served:
            model = served.find("m")
            with model.use() as old:
                write_identity(tmp_path / "m" / "2" / "model.onnx", PAIR)
                await served.load("m")
                assert model.version().number == 2
                assert states(served) == {"m 1": "UNLOADING", "m 2": "READY"}
                await served.unload("m")
                assert states(served)["m 1"] == "UNLOADING"
                answer = await old.infer(request)
                np.testing.assert_array_equal(answer["y"], [[1, 2]])
                assert old.alive
            await until(lambda: set(states(served).values()) == {"UNAVAILABLE"})
            assert not old.alive

    asyncio.run(run())


async def ask_and_leave(served: Repository, name: str) -> None:
    """A client that asks for a model's load and leaves while it is under way."""
    request = asyncio.create_task(served.load(name))
    await until(lambda: name in served.models)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


def test_a_client_that_leaves_does_not_leave_a_model_half_loaded(
    tmp_path: Path, runtime: Runtime
) -> None:
    async def run() -> None:
        publish_colour_model(tmp_path, "m")
        async with repository(tmp_path, runtime, explicit()) as served:
            await ask_and_leave(served, "m")
            await until(lambda: states(served) == {"m 1": "READY"})

    asyncio.run(run())


def test_a_client_that_leaves_a_load_which_fails_does_not_leave_the_server_unready(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    client_left = threading.Event()

    def stamp_then(folder: ModelFolder) -> ModelStamp:
        assert client_left.wait(60)
        return stamp_model(folder)

    async def run() -> None:
        async with repository(tmp_path, runtime, explicit()) as served:
            await ask_and_leave(served, "bad")
            client_left.set()
            await until(lambda: states(served) == {"bad": "UNAVAILABLE"})
            assert served.ready

    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "config.pbtxt").write_text("nonsense")
    monkeypatch.setattr("server.lifecycle.stamp_model", stamp_then)
    asyncio.run(run())
