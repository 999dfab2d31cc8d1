"""Augmented manifests whose pictures and masks lie in a bucket."""

import json
import threading
from pathlib import Path

import pytest

from contract.bucket import Store
from contract.errors import BucketError
from contract.locations import Bucket
from tests.storage.gate import gate
from tests.storage.local_s3 import LocalS3, new_clients
from tests.trainer.conftest import write_digits
from tests.trainer.sagemaker.channel_folders import channels, contents
from tests.trainer.segmentation_folders import write_blocks
from trainer.copying import AT_ONCE
from trainer.datasets.dataset import Dataset
from trainer.datasets.image_folder import read_image_folder
from trainer.datasets.segmentation_folder import read_segmentation_folder
from trainer.masks import MaskFile
from trainer.processes import ALONE
from trainer.sagemaker.classification_channels import read_classification
from trainer.sagemaker.segmentation_channels import read_segmentation
from trainer.scan import scan_pictures

SPLITS = ("train", "validation")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    data = write_digits(tmp_path_factory.mktemp("digits"), {"train": 6, "validation": 2})
    return read_image_folder(data)


def upload(bucket: Bucket, path: Path, key: str) -> str:
    Store(bucket).write(key, path.read_bytes())
    return f"{bucket}/{key}"


def write_manifest(root: Path, split: str, lines: list[dict[str, object]]) -> None:
    (root / split).mkdir()
    (root / split / f"{split}.manifest").write_text("\n".join(map(json.dumps, lines)))


@pytest.fixture(scope="module")
def manifests(s3: LocalS3, digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits in a bucket, and a manifest of each split."""
    root, bucket = tmp_path_factory.mktemp("manifests"), s3.bucket("manifests")
    for split in SPLITS:
        lines: list[dict[str, object]] = [
            {"source-ref": upload(bucket, path, f"{split} ü+%20?#{n}.png"), "class": sample.target}
            for n, sample in enumerate(digits.splits[split])
            for path in [Path(str(sample.path))]
        ]
        write_manifest(root, split, lines)
    return root


def test_pictures_of_a_bucket_are_fetched_once_many_at_a_time(
    s3: LocalS3, digits: Dataset, manifests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = channels(manifests, "application/x-recordio", *SPLITS)
    with gate(s3.url, opens_at=AT_ONCE) as relay, new_clients():
        monkeypatch.setenv("AWS_ENDPOINT_URL", relay.url)
        found = read_classification(given, 4, multi_label=False, workspace=tmp_path)
        assert relay.most == AT_ONCE
    assert contents(found) == contents(digits)
    assert str(found.samples[0].path) == "s3://manifests/models/train ü+%20?#0.png"

    def never(*_: object) -> None:
        raise AssertionError("an object is fetched again")

    monkeypatch.setattr(Store, "fetch", never)
    again = read_classification(given, 4, multi_label=False, workspace=tmp_path)
    assert contents(again) == contents(digits)


def test_the_hash_does_not_tell_where_objects_were_fetched_to(
    manifests: Path, tmp_path: Path
) -> None:
    given = channels(manifests, "application/x-recordio", *SPLITS)
    hashes = {
        scan_pictures(
            read_classification(given, 4, multi_label=False, workspace=tmp_path / name), ALONE
        ).sha256
        for name in ("first", "second")
    }
    assert len(hashes) == 1


def test_masks_of_a_bucket_are_fetched_beside_their_pictures(s3: LocalS3, tmp_path: Path) -> None:
    blocks = read_segmentation_folder(write_blocks(tmp_path / "blocks"))
    bucket = s3.bucket("masks")
    for split in SPLITS:
        lines: list[dict[str, object]] = []
        for n, sample in enumerate(blocks.splits[split]):
            picture, mask = (Path(str(file)) for file in sample.files)
            refs = {
                "source-ref": upload(bucket, picture, f"{split}/{n}.jpg"),
                "city-streets-ref": upload(bucket, mask, f"{split}/{n}.png"),
            }
            lines.append({**refs, "city-streets-metadata": {"job-name": "label-city-streets"}})
        write_manifest(tmp_path, split, lines)
    found = read_segmentation(channels(tmp_path, None, *SPLITS), 3, tmp_path / "workspace")
    assert found.problems == ()
    for split in SPLITS:
        for ours, theirs in zip(found.splits[split], blocks.splits[split], strict=True):
            assert ours.path.read_bytes() == theirs.path.read_bytes()
            assert isinstance(ours.target, MaskFile)
            assert isinstance(theirs.target, MaskFile)
            assert (ours.target.read() == theirs.target.read()).all()


def test_an_object_that_is_missing_is_named(s3: LocalS3, digits: Dataset, tmp_path: Path) -> None:
    url = f"{s3.bucket('missing-object')}/none.png"
    write_manifest(tmp_path, "train", [{"source-ref": url, "class": 0}])
    write_manifest(tmp_path, "validation", [{"source-ref": url, "class": 0}])
    before = threading.active_count()
    with pytest.raises(BucketError) as caught:
        read_classification(
            channels(tmp_path, None, *SPLITS), 4, multi_label=False, workspace=tmp_path
        )
    assert str(caught.value).startswith(f"cannot download {url}: ")
    assert threading.active_count() <= before + 1  # s3fs has one of its own
