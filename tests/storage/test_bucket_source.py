"""A bucket served, one look after the other, without waiting for any."""

import asyncio
import shutil
from pathlib import Path

import pytest

from contract import mirror
from contract.bucket import Store
from contract.locations import Bucket
from server.bucket_source import open_bucket
from server.errors import LoadError, ModelNotFound, NotPolled
from server.repository import Control
from server.runtime import Runtime
from server.version import Version
from server.watcher import Watcher
from tests.repositories import explicit, policy, reason, states
from tests.storage.dying_publisher import publish_and_die
from tests.storage.local_s3 import LocalS3, new_clients
from tests.storage.served_bucket import look, served_bucket
from tests.tiny_models import publish_colour


def copies(cache: Path) -> set[str]:
    return {
        str(path.relative_to(cache))
        for path in cache.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def delete_version(store: Store, version: str) -> None:
    for key in store.list():
        if key.startswith(f"{version}/"):
            store.delete(key)


def test_polling_follows_a_bucket(s3: LocalS3, tmp_path: Path, runtime: Runtime) -> None:
    bucket = s3.bucket("polled")
    store = Store(bucket)
    publish_colour(bucket)

    async def run() -> None:
        async with served_bucket(bucket, tmp_path, runtime, Control("poll")) as served:
            watcher = Watcher(served, poll_s=1)
            await look(watcher)
            kept = served.find("m")
            serving: Version = kept.version()
            await look(watcher)
            assert kept.version() is serving, "nothing changed, so nothing is loaded"

            publish_and_die(bucket, "commit")
            publish_colour(bucket, 32)
            publish_colour(bucket, name="new")
            await look(watcher)
            assert kept.version().number == 2
            assert states(served)["new 1"] == "READY"
            shared = {"m/config.pbtxt", "m/labels.txt"}
            of_m = {path for path in copies(tmp_path) if path.startswith("m/")}
            assert of_m - shared == {
                f"m/2/{n}" for n in ("model.onnx", "config.pbtxt", "labels.txt")
            }

            delete_version(store, "m/2")
            delete_version(store, "new")
            await look(watcher)
            assert kept.version().number == 1
            with pytest.raises(ModelNotFound):
                served.find("new")
            assert not (tmp_path / "new").exists()

            store.write("m/labels.txt", b"rot\ngreen\nblue\n")
            await look(watcher)
            assert kept.version().labels == {"scores": ("rot", "green", "blue")}
            assert served.ready

    asyncio.run(run())


def test_what_cannot_be_copied_leaves_what_serves(
    s3: LocalS3, tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.bucket("faulty")
    publish_colour(bucket)

    async def run() -> None:
        async with served_bucket(bucket, tmp_path, runtime, Control("poll")) as served:
            watcher = Watcher(served, poll_s=1)
            await look(watcher)
            publish_colour(bucket, 32)
            with monkeypatch.context() as full:
                full.setattr(mirror, "_SPARE_BYTES", shutil.disk_usage(tmp_path).total)
                await look(watcher)
            assert states(served) == {"m 1": "READY", "m 2": "UNAVAILABLE"}
            assert "(--bucket_cache_dir)" in reason(served, "m 2")
            assert served.ready

            await look(watcher)
            assert served.find("m").version().number == 2
            with new_clients(), monkeypatch.context() as away:
                away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
                away.setattr(served.source.mirror, "_store", Store(bucket))  # type: ignore[attr-defined]
                await look(watcher, times=1)
            assert states(served)["m 2"] == "READY"
            assert served.ready

    asyncio.run(run())


def test_models_are_copied_when_requests_ask_for_them(
    s3: LocalS3, tmp_path: Path, runtime: Runtime
) -> None:
    bucket = s3.bucket("asked")
    for name in ("a", "b", "b"):
        publish_colour(bucket, name=name)

    async def run() -> None:
        async with served_bucket(bucket, tmp_path, runtime, explicit("a")) as served:
            assert not (tmp_path / "b").exists()
            assert states(served) == {"a 1": "READY", "b": ""}
            await served.load("b", '{"versionPolicy": {"specific": {"versions": [1]}}}')
            assert states(served) == {"a 1": "READY", "b 1": "READY"}
            await served.load("b")
            assert served.find("b").version().number == 2
            with pytest.raises(NotPolled):
                await served.load("c")

    asyncio.run(run())


def test_a_kept_copy_is_not_fetched_again(s3: LocalS3, tmp_path: Path, runtime: Runtime) -> None:
    bucket = s3.bucket("kept")
    publish_colour(bucket)

    async def run() -> None:
        async with served_bucket(bucket, tmp_path, runtime, Control()):
            pass
        before = (tmp_path / "m" / "1" / "model.onnx").stat()
        async with served_bucket(bucket, tmp_path, runtime, Control()) as served:
            assert states(served) == {"m 1": "READY"}
            assert (tmp_path / "m" / "1" / "model.onnx").stat() == before
        Store(bucket).write("m/1/model.onnx", b"another")
        async with served_bucket(bucket, tmp_path, runtime, Control()) as served:
            assert states(served) == {"m 1": "UNAVAILABLE"}
            assert (tmp_path / "m" / "1" / "model.onnx").read_bytes() == b"another"

    asyncio.run(run())


def test_what_changed_since_it_was_listed_is_not_taken(s3: LocalS3, tmp_path: Path) -> None:
    bucket = s3.bucket("changing")
    publish_colour(bucket)
    copy = mirror.Mirror(bucket, tmp_path)
    listed = copy.look()["m"]
    copy.fetch_shared(listed)
    Store(bucket).write("m/1/model.onnx", b"short")
    assert "got 5 bytes, expected" in copy.fetch_versions(listed, [1])[1]
    assert copies(tmp_path) == {"m/config.pbtxt", "m/labels.txt"}
    copy.stop()
    assert "the server is stopping" in copy.fetch_versions(copy.look()["m"], [1])[1]
    assert not list(tmp_path.rglob(".fetch-*"))


def test_no_key_leaves_the_folder(s3: LocalS3, tmp_path: Path, runtime: Runtime) -> None:
    bucket = s3.bucket("hostile")
    publish_colour(bucket)
    store = Store(bucket)
    for key in ("m/../../out", "m/1/../../../out", "../out", "m//out", "m/.hidden", "m/1\\..\\out"):
        store._fs.call_s3("put_object", Bucket="hostile", Key=f"models/{key}", Body=b"x")

    async def run() -> None:
        cache = tmp_path / "a" / "cache"
        async with served_bucket(bucket, cache, runtime, Control()) as served:
            assert states(served) == {"m 1": "READY"}
        assert copies(tmp_path) == {
            f"a/cache/m/{path}"
            for path in (
                "config.pbtxt",
                "labels.txt",
                "1/model.onnx",
                "1/config.pbtxt",
                "1/labels.txt",
            )
        }

    asyncio.run(run())


def test_all_versions_of_a_policy_are_copied(s3: LocalS3, tmp_path: Path, runtime: Runtime) -> None:
    bucket = s3.bucket("policies")
    for _ in range(3):
        publish_colour(bucket)
    config = tmp_path / "config.pbtxt"
    config.write_bytes(Store(bucket).read("m/config.pbtxt"))
    policy(tmp_path, "latest { num_versions: 2 }")
    Store(bucket).write("m/config.pbtxt", config.read_bytes())

    async def run() -> None:
        async with served_bucket(bucket, tmp_path / "cache", runtime, Control()) as served:
            assert states(served) == {"m 2": "READY", "m 3": "READY"}

    asyncio.run(run())


def test_a_bucket_that_cannot_be_served_is_one_line(s3: LocalS3, tmp_path: Path) -> None:
    source = open_bucket(Bucket("s3://absent-bucket/models"), tmp_path)
    with pytest.raises(LoadError) as caught:
        source.folders()
    assert "cannot list s3://absent-bucket/models" in str(caught.value)
    assert "\n" not in str(caught.value)
