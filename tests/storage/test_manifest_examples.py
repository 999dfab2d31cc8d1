"""The manifests in SageMaker's documents, as they stand there, with the objects that they name."""

import json
from pathlib import Path

import pytest
from PIL import Image

from contract.bucket import Store
from contract.locations import Bucket
from tests.storage.local_s3 import LocalS3, make_bucket
from tests.trainer.sagemaker.channel_folders import channels
from tests.trainer.sagemaker.documents import seed
from trainer.sagemaker.classification_channels import read_classification

SINGLE = (
    '{"source-ref":"s3://image/filename1.jpg", "class":"0"}',
    '{"source-ref":"s3://image/filename2.jpg", "class":"1", "class-metadata": {"class-name": '
    '"cat", "type" : "groundtruth/image-classification"}}',
)
MULTI_HOT = (
    '{"image-ref": "s3://mybucket/sample01/image1.jpg", "class": "[1, 0, 1]"}',
    '{"image-ref": "s3://mybucket/sample02/image2.jpg", "class": "[0, 0, 1]"}',
)
CLASS_ID = (
    '{"image-ref": "s3://mybucket/sample01/image1.jpg", "class": "[0, 2]"}',
    '{"image-ref": "s3://mybucket/sample02/image2.jpg", "class": "[2]"}',
)
CONTENT = "application/x-recordio"


@pytest.mark.parametrize(
    ("lines", "content_type", "num_classes", "multi_label", "targets"),
    [
        (SINGLE, CONTENT, 2, False, [0, 1]),
        (MULTI_HOT, CONTENT, 3, True, [(0, 2), (2,)]),
        (MULTI_HOT, f"{CONTENT}; label-format=multi-hot", 3, True, [(0, 2), (2,)]),
        (CLASS_ID, f"{CONTENT}; label-format=class-id", 3, True, [(0, 2), (2,)]),
    ],
)
def test_the_manifests_of_image_classification(
    *,
    s3: LocalS3,
    tmp_path: Path,
    lines: tuple[str, str],
    content_type: str,
    num_classes: int,
    multi_label: bool,
    targets: list[object],
) -> None:
    urls = [str(next(iter(json.loads(line).values()))) for line in lines]
    Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg")
    for url in urls:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        place = Bucket(f"s3://{bucket}")
        make_bucket(place)
        Store(place).write(key, (tmp_path / "a.jpg").read_bytes())
    for split in ("train", "validation"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.manifest").write_text("\n".join(lines))
    found = read_classification(
        channels(tmp_path, content_type, "train", "validation"), num_classes, multi_label, tmp_path
    )
    assert [str(sample.path) for sample in found.splits["train"]] == urls
    assert [sample.target for sample in found.splits["train"]] == targets


def test_these_are_the_documents_manifests() -> None:
    text = seed("image_classification")
    for example in (SINGLE, MULTI_HOT, CLASS_ID):
        assert " ".join(example) in text
