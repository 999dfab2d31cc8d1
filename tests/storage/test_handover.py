"""From the trainer's bucket to an answer: by KServe's storage initializer, and by the server itself."""

import hashlib
import threading
from pathlib import Path

import httpx
import pytest

from contract.bucket import Store
from contract.locations import Bucket
from contract.mirror import Mirror
from contract.model_config import read_model_config
from tests.live_server import live_server, start_server, wait_until
from tests.steady_load import check_versions, index, picture_files, serves, steady_load
from tests.storage.dying_publisher import publish_and_die
from tests.storage.local_s3 import LocalS3, initialise_storage
from tests.storage.scaled_answers import FP32, expect_scale
from tests.tiny_models import LABELS, publish_colour, write_colour_model


@pytest.fixture(scope="module")
def published(s3: LocalS3) -> Bucket:
    """Eleven versions of a model, a half sent one, and a model whose name begins with the other's."""
    bucket = s3.bucket("handover")
    for scale in range(1, 12):
        publish_colour(bucket, float(scale))
    publish_and_die(bucket, "commit")
    publish_colour(bucket, 99, "m-2")
    return bucket


@pytest.mark.parametrize(
    ("place", "scale"), [("/m/1/", 1), ("/m/10/", 10), ("/m/", 11), ("/m", 11)]
)
def test_a_storage_uri_of_a_model_or_a_version_is_served(
    published: Bucket, tmp_path: Path, place: str, scale: float
) -> None:
    mounted = tmp_path / "models"
    initialise_storage(published.url + place, mounted)
    flags = ["--model_dir", str(mounted), "--model_name", "served", *FP32]
    with live_server(tmp_path / "log", *flags) as server:
        expect_scale(server, scale, "served")


def test_a_storage_uri_of_a_repository_is_served(published: Bucket, tmp_path: Path) -> None:
    initialise_storage(f"{published}/", tmp_path / "models")
    with live_server(tmp_path / "log", "--model_dir", str(tmp_path / "models"), *FP32) as server:
        expect_scale(server, 11)
        expect_scale(server, 99, "m-2")


def test_a_version_without_a_slash_is_refused_where_it_brings_others(
    published: Bucket, tmp_path: Path
) -> None:
    mounted = tmp_path / "models"
    initialise_storage(f"{published}/m/1", mounted)
    assert (mounted / "1" / "model.onnx").is_file(), "version 11, by the rules of its key"
    server = start_server(tmp_path / "log", "--model_dir", str(mounted), "--model_name", "m")
    assert server.process.wait(timeout=60) == 1
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert line.startswith(f"error: {mounted} holds model.onnx beside the version folders 1")
    assert "ends with a slash" in line


@pytest.mark.parametrize("place", ["m/2", "m", ""])
def test_what_the_initializer_links_from_a_volume_is_served(tmp_path: Path, place: str) -> None:
    volume = tmp_path / "volume"
    for scale in (1, 2):
        publish_colour(volume, scale)
    initialise_storage(f"file://{volume / place}", tmp_path / "models")
    assert all(path.is_symlink() for path in (tmp_path / "models").iterdir())
    flags = ["--model_dir", str(tmp_path / "models"), "--model_name", "m", *FP32]
    with live_server(tmp_path / "log", *flags) as server:
        expect_scale(server, 2)


def test_a_version_published_into_the_bucket_takes_over_without_an_error(
    s3: LocalS3, tmp_path: Path
) -> None:
    bucket = s3.bucket("followed")
    publish_colour(bucket, 16)
    flags = ["--model_repository", bucket.url, "--model_control_mode", "poll"]
    flags += ["--repository_poll_secs", "1", *FP32]
    with (
        live_server(tmp_path / "log", *flags) as server,
        steady_load(server, "m", picture_files(tmp_path)) as load,
    ):
        wait_until(lambda: serves(server, "m", 1))
        publish_and_die(bucket, "commit")
        publish_colour(bucket, 32)
        wait_until(lambda: serves(server, "m", 2))
        Store(bucket).write("m/3/model.onnx", b"no model")
        wait_until(lambda: index(server).get("3", {}).get("state") == "UNAVAILABLE")
        assert index(server)["2"]["state"] == "READY"
        assert httpx.get(server.url + "/v2/health/ready").status_code == 200
        found = load.stop()
    check_versions(found, [16, 32])


def test_a_reader_sees_only_whole_versions_while_many_are_published(
    s3: LocalS3, tmp_path: Path
) -> None:
    bucket = s3.bucket("watched")
    scales = [float(scale) for scale in range(1, 16)]
    hashes = {}
    for scale in scales:
        write_colour_model(tmp_path / "model.onnx", scale)
        hashes[hashlib.sha256((tmp_path / "model.onnx").read_bytes()).hexdigest()] = scale
    done, seen = threading.Event(), dict[int, float]()

    def read() -> None:
        mirror = Mirror(bucket, tmp_path / "mirror")
        while not done.is_set() or len(seen) < 2:
            for model in mirror.look().values():
                for number in model.versions:
                    folder = mirror.fetch_shared(model)
                    assert mirror.fetch_versions(model, [number]) == {}
                    content = (folder / str(number) / "model.onnx").read_bytes()
                    seen[number] = hashes[hashlib.sha256(content).hexdigest()]
                    assert read_model_config(folder).task == "image-classification"
                    assert (folder / "labels.txt").read_text().split() == list(LABELS)

    errors: list[BaseException] = []

    def reader() -> None:
        try:
            read()
        except BaseException as err:  # shown by the test
            errors.append(err)

    thread = threading.Thread(target=reader)
    thread.start()
    for scale in scales:
        publish_colour(bucket, scale)
    wait_until(lambda: len(seen) == len(scales) or bool(errors))
    done.set()
    thread.join()
    assert errors == []
    assert seen == {number: float(number) for number in range(1, 16)}
