"""Publishing into a bucket: what each reader sees before, while and after it is done."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from contract.bucket import Store
from contract.errors import RepositoryError
from contract.locations import Bucket
from tests.storage.dying_publisher import publish_and_die
from tests.storage.local_s3 import LocalS3, contents, keys, new_clients
from tests.tiny_models import colour_config, publish_colour, write_colour_model
from trainer.publishing import check_publishable, check_writable, publish

SHARED = {"m/config.pbtxt", "m/labels.txt"}


def version_keys(number: int) -> set[str]:
    return {f"m/{number}/{name}" for name in ("model.onnx", "config.pbtxt", "labels.txt")}


def test_a_version_has_all_that_its_reader_needs(s3: LocalS3) -> None:
    bucket = s3.bucket("whole")
    assert str(publish_colour(bucket).version_dir) == "s3://whole/models/m/1"
    assert publish_colour(bucket, 32).version == 2
    held = contents(bucket)
    assert held.keys() == SHARED | version_keys(1) | version_keys(2)
    assert held["m/labels.txt"] == held["m/2/labels.txt"] == b"red\ngreen\nblue\n"
    assert held["m/config.pbtxt"] == held["m/2/config.pbtxt"]


@pytest.mark.parametrize("before", ["labels.txt", "config.pbtxt", "commit"])
def test_a_publish_that_dies_before_its_model_appears_leaves_no_version(
    s3: LocalS3, before: str
) -> None:
    bucket = s3.bucket(f"dies-{before.partition('.')[0]}")
    publish_and_die(bucket, before)
    assert keys(bucket) <= SHARED
    assert publish_colour(bucket).version == 1
    assert keys(bucket) == SHARED | version_keys(1)
    former = contents(bucket)
    publish_and_die(bucket, "commit")
    assert contents(bucket) == former
    bucket_name = bucket.url.split("/")[2]
    uploads = partial(Store(bucket)._fs.call_s3, "list_multipart_uploads", Bucket=bucket_name)
    assert uploads().get("Uploads"), "what it had sent"
    assert publish_colour(bucket, 32).version == 2
    assert not uploads().get("Uploads"), "which the next publish threw away"


@pytest.mark.parametrize("before", ["2/labels.txt", "2/config.pbtxt"])
def test_a_publish_that_dies_after_its_model_appeared_leaves_a_whole_version(
    s3: LocalS3, before: str
) -> None:
    bucket = s3.bucket(f"late-{before[2:].partition('.')[0]}")
    publish_colour(bucket)
    publish_and_die(bucket, before)
    held = contents(bucket)
    assert held.keys() >= SHARED | {"m/2/model.onnx"}
    assert publish_colour(bucket).version == 3
    mended = contents(bucket)
    assert mended.keys() == SHARED | version_keys(1) | version_keys(2) | version_keys(3)
    for name in ("config.pbtxt", "labels.txt"):
        assert mended[f"m/2/{name}"] == held[f"m/{name}"]


def test_publishers_at_once_take_numbers_of_their_own(s3: LocalS3) -> None:
    bucket = s3.bucket("at-once")
    scales = [1.0, 2.0, 4.0, 8.0]
    with ThreadPoolExecutor(len(scales)) as threads:
        published = list(threads.map(partial(publish_colour, bucket), scales))
    assert sorted(one.version for one in published) == [1, 2, 3, 4]
    held = contents(bucket)
    models = {held[f"m/{one.version}/model.onnx"] for one in published}
    assert len(models) == len(scales), "none was written over"


def test_another_interface_is_refused_before_anything_is_written(s3: LocalS3) -> None:
    bucket = s3.bucket("interface")
    publish_colour(bucket)
    former = contents(bucket)
    others = ("red", "green", "azure")
    with pytest.raises(RepositoryError) as caught:
        check_publishable(bucket, colour_config("m"), others)
    assert str(caught.value).startswith("s3://interface/models/m serves a model with other labels")
    with pytest.raises(RepositoryError, match="other labels"):
        publish(bucket, colour_config("m"), others, write_colour_model)
    assert contents(bucket) == former


def test_a_probe_leaves_nothing(s3: LocalS3) -> None:
    bucket = s3.bucket("probed")
    check_writable(bucket, "m")
    assert keys(bucket) == set()


def test_what_a_bucket_refuses_is_one_line(
    s3: LocalS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    absent = Bucket("s3://no-such-bucket/models")
    with pytest.raises(RepositoryError) as caught:
        check_writable(absent, "m")
    assert "s3://no-such-bucket/models/m" in str(caught.value)
    assert "does not exist" in str(caught.value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with new_clients(), pytest.raises(RepositoryError) as caught:
        check_writable(absent, "m")
    assert "AWS_ACCESS_KEY_ID" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_upload_that_the_store_has_thrown_away_is_thrown_away(
    s3: LocalS3, tmp_path: Path
) -> None:
    bucket = s3.bucket("thrown-away")
    (tmp_path / "file").write_bytes(b"content")
    store = Store(bucket)

    def be_beaten() -> None:
        with store.upload(tmp_path / "file", "key") as upload:
            upload._file.discard()
            upload._file.mpu = {"UploadId": "gone"}
            raise FileExistsError

    with pytest.raises(FileExistsError):
        be_beaten()
    assert contents(bucket) == {}


def test_a_lost_shared_file_is_written_again_by_the_next_publish(s3: LocalS3) -> None:
    bucket = s3.bucket("lost-config")
    publish_colour(bucket)
    before = contents(bucket)
    Store(bucket).delete("m/config.pbtxt")
    publish_colour(bucket, 32)
    after = contents(bucket)
    assert after["m/config.pbtxt"] == before["m/config.pbtxt"]
    assert "m/2/model.onnx" in after
