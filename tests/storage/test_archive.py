"""A training job's model.tar.gz in a bucket, unpacked by KServe's storage initializer and served."""

from pathlib import Path

from contract.bucket import Store
from tests.live_server import live_server
from tests.storage.local_s3 import LocalS3, initialise_storage
from tests.storage.scaled_answers import FP32, expect_scale
from tests.tiny_models import publish_colour_model
from trainer.sagemaker.archive import write_archive
from trainer.sagemaker.artefacts import write_labels
from trainer.sagemaker.incremental import CHECKPOINT_FOLDER


def test_an_archive_is_a_storage_uri_of_a_repository(s3: LocalS3, tmp_path: Path) -> None:
    model = tmp_path / "model"
    publish_colour_model(model, "m")
    (model / "m" / "1" / CHECKPOINT_FOLDER).mkdir()
    (model / "m" / "1" / CHECKPOINT_FOLDER / "model.safetensors").write_bytes(b"weights")
    write_labels(model, ["cat", "dog"])
    write_archive(model, tmp_path / "model.tar.gz")
    bucket = s3.bucket("archive")
    Store(bucket).write("model.tar.gz", (tmp_path / "model.tar.gz").read_bytes())
    initialise_storage(f"{bucket}/model.tar.gz", tmp_path / "models")
    with live_server(tmp_path / "log", "--model_dir", str(tmp_path / "models"), *FP32) as server:
        expect_scale(server, 16)
