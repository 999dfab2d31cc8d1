"""The training image as SageMaker starts it: `train`, and folders mounted below /opt/ml."""

import os
import signal
from pathlib import Path

import pytest

from tests.images.containers import Container, Image, Mount
from tests.live_server import wait_until
from tests.trainer.sagemaker.containers import ALGORITHM, failure, write_container
from trainer.checkpoints import MANIFEST
from trainer.sagemaker.folders import BASE_DIR, Folders

pytestmark = [pytest.mark.images, pytest.mark.timeout(1800)]

FOREIGN = "1234567:0"
"""A user that the image does not know, in the group 0: OpenShift's way."""
STOPPED = 143


def job(training: Image, folders: Folders) -> Container:
    """The container of a job, which may write its outcome's folders alone."""
    mounts = [
        Mount(folder, str(BASE_DIR / folder.relative_to(folders.base)))
        for folder in (folders.config, folders.data)
    ]
    for folder in (folders.model, folders.checkpoints, folders.failure.parent):
        target = str(BASE_DIR / folder.relative_to(folders.base))
        mounts.append(Mount(open_folder(folder), target, writable=True))
    variables = [f"{name}={value}" for name, value in ALGORITHM.items()]
    return Container(training, ["train"], mounts, [*variables, "OMP_NUM_THREADS=1"], FOREIGN)


def open_folder(folder: Path) -> Path:
    folder.mkdir()
    folder.chmod(0o777)
    os.chown(folder, int(FOREIGN.partition(":")[0]), 0)
    return folder


def test_train_leaves_a_model_in_opt_ml(training: Image, tmp_path: Path) -> None:
    folders = write_container(tmp_path / "ml")
    tmp = open_folder(tmp_path / "tmp")
    with job(training, folders).restricted(tmp_path / "log", tmp) as running:
        assert running.started.wait(300) == 0, running.log.read_text()
    assert (folders.model / "model" / "1" / "model.onnx").is_file()
    assert folders.success.is_file()
    assert [path for path in tmp.rglob("*") if not path.is_dir()] == []


def test_train_as_process_1_is_stopped_by_sigterm(training: Image, tmp_path: Path) -> None:
    folders = write_container(tmp_path / "ml", epochs="1000")
    tmp = open_folder(tmp_path / "tmp")
    with job(training, folders).restricted(tmp_path / "log", tmp) as running:
        wait_until(lambda: any(folders.checkpoints.glob(f"checkpoint-*/{MANIFEST}")), 300)
        assert running.stop(signal.SIGTERM) == STOPPED, running.log.read_text()
    assert failure(folders).startswith("Stopped: ")
