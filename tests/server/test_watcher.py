"""Polling, one look after the other, without waiting for any."""

import asyncio
import shutil
from pathlib import Path

import pytest

from server.errors import ModelNotFound
from server.repository import Control
from server.runtime import Runtime
from server.version import Version
from server.watcher import Watcher
from tests.repositories import break_version, policy, reason, repository, states, until
from tests.tiny_models import publish_colour_model


def test_polling_follows_what_changes(tmp_path: Path, runtime: Runtime) -> None:
    async def run() -> None:
        first = publish_colour_model(tmp_path, "kept")
        async with repository(tmp_path, runtime, Control("poll")) as served:
            watcher = Watcher(served, poll_s=1)
            await watcher.look()
            kept = served.find("kept")
            serving: Version = kept.version()
            publish_colour_model(tmp_path, "new")
            await watcher.look()
            assert "new" not in served.models, "it may still be copied"
            await watcher.look()
            assert states(served) == {"kept 1": "READY", "new 1": "READY"}

            publish_colour_model(tmp_path, "kept")
            await watcher.look()
            assert kept.version() is serving
            await watcher.look()
            assert kept.version().number == 2

            shutil.rmtree(first / "2")
            await watcher.look()
            await watcher.look()
            assert kept.version().number == 1
            again: Version = kept.version()

            labels = first / "labels.txt"
            labels.write_text(labels.read_text().replace("red", "rot"))
            await watcher.look()
            await watcher.look()
            assert kept.version() is not again
            assert kept.version().labels == {"scores": ("rot", "green", "blue")}

            shutil.rmtree(tmp_path / "new")
            await watcher.look()
            with pytest.raises(ModelNotFound):
                served.find("new")
            assert served.ready

    asyncio.run(run())


def test_polling_leaves_the_old_version_when_the_new_one_is_broken(
    tmp_path: Path, runtime: Runtime
) -> None:
    async def run() -> None:
        model_dir = publish_colour_model(tmp_path, "m")
        async with repository(tmp_path, runtime, Control("poll")) as served:
            watcher = Watcher(served, poll_s=1)
            break_version(model_dir, 2)
            for _ in range(2):
                await watcher.look()
            model = served.find("m")
            assert model.version().number == 1
            assert states(served) == {"m 1": "READY", "m 2": "UNAVAILABLE"}
            assert "cannot load it" in reason(served, "m 2")
            assert served.ready
            attempted = model.attempted
            await watcher.look()
            assert model.attempted is attempted, "it is not tried again until it changes"

            shutil.copy(model_dir / "1" / "model.onnx", model_dir / "2" / "model.onnx")
            for _ in range(2):
                await watcher.look()
            assert model.version().number == 2
            await until(lambda: states(served) == {"m 1": "UNAVAILABLE", "m 2": "READY"})

            (model_dir / "config.pbtxt").write_text("nonsense")
            for _ in range(2):
                await watcher.look()
            assert model.version().number == 2
            assert "is not a Triton model configuration" in reason(served, "m 2")

    asyncio.run(run())


def test_polling_forgets_the_reason_of_a_fault_that_is_mended(
    tmp_path: Path, runtime: Runtime
) -> None:
    async def run() -> None:
        model_dir = publish_colour_model(tmp_path, "m")
        config = model_dir / "config.pbtxt"
        text = config.read_text()
        async with repository(tmp_path, runtime, Control("poll")) as served:
            watcher = Watcher(served, poll_s=1)
            serving: Version = served.find("m").version()
            config.write_text(text.replace("dynamic_batching", "sequence_batching"))
            for _ in range(2):
                await watcher.look()
            assert "sequence_batching is not served" in reason(served, "m 1")
            config.write_text(text)
            for _ in range(2):
                await watcher.look()
            assert reason(served, "m 1") == served.find("m").reason == ""
            assert states(served) == {"m 1": "READY"}
            assert served.find("m").version() is serving, "it was never another"

    asyncio.run(run())


def test_a_broken_version_that_the_policy_leaves_out_is_forgotten(
    tmp_path: Path, runtime: Runtime
) -> None:
    async def run() -> None:
        model_dir = publish_colour_model(tmp_path, "m")
        break_version(model_dir, 2)
        async with repository(tmp_path, runtime, Control("poll")) as served:
            watcher = Watcher(served, poll_s=1)
            assert "cannot load it" in served.find("m").reason
            policy(model_dir, "specific { versions: 1 }")
            for _ in range(2):
                await watcher.look()
            assert states(served) == {"m 1": "READY"}
            assert served.find("m").reason == ""
            with pytest.raises(ModelNotFound, match="'m' version 2 is not found"):
                served.find("m").version("2")

    asyncio.run(run())


def test_a_repository_that_cannot_be_read_unloads_nothing(tmp_path: Path, runtime: Runtime) -> None:
    async def run() -> None:
        root = tmp_path / "models"
        publish_colour_model(root, "m")
        async with repository(root, runtime, Control("poll")) as served:
            watcher = Watcher(served, poll_s=1)
            await watcher.look()
            root.rename(tmp_path / "away")
            await watcher.look()
            assert states(served) == {"m 1": "READY"}

    asyncio.run(run())
