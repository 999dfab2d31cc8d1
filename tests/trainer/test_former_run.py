"""A run that starts with another one's weights, whose architecture may be another too."""

import shutil
from pathlib import Path

import pytest

from tests.trainer.coco_folders import write_coco_folder
from tests.trainer.conftest import aperture_train, problems
from trainer.checkpoints import write_manifest
from trainer.detection_hyperparameters import DetectionHyperparameters
from trainer.detectors import build_detector
from trainer.export import describe_model
from trainer.publishing import publish
from trainer.run_record import LOCK_FILE
from trainer.tasks import load_task

NAMED, FORMER = "dfine-tiny", "detr-tiny"
LABELS = ("square", "disc")
SIZE = 64


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_coco_folder(tmp_path / "data", {"train": 2, "validation": 2})


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """The folder of a run of FORMER."""
    wanted = DetectionHyperparameters(model=FORMER, input_size=SIZE)
    checkpoint = tmp_path / "former" / "checkpoint-1"
    build_detector(wanted, LABELS).save_pretrained(checkpoint)
    write_manifest(checkpoint)
    return checkpoint.parent


def serve(repository: Path, model: str) -> None:
    """Publish a version `boxes` with the tensors of a detector, which nobody asks."""
    built = build_detector(DetectionHyperparameters(model=model, input_size=SIZE), LABELS)
    config = describe_model(load_task("object-detection"), built, "boxes", LABELS, SIZE)
    publish(repository, config, LABELS, lambda path: path.touch())


def fit_from(former: Path, data: Path, run_dir: Path) -> int:
    return aperture_train(
        *("fit", "--task", "object-detection", "--data", str(data), "--name", "boxes"),
        *("--model_repository", str(data.parent / "repository"), "--output_dir", str(run_dir)),
        *("--model", NAMED, "--input_size", str(SIZE), "--checkpoint_input", str(former)),
    )


def test_former_weights_that_the_repository_cannot_take_are_refused_before_the_training(
    data: Path, former: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(tmp_path / "repository", NAMED)
    assert fit_from(former, data, tmp_path / "run") == 1
    (line,) = problems(capsys.readouterr().err)
    assert "boxes serves a model with other outputs" in line
    assert [path.name for path in (tmp_path / "run").iterdir()] == [
        LOCK_FILE
    ]  # nothing was trained


def test_model_that_former_weights_replace_need_not_fit_the_repository(
    data: Path, former: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It comes as far as the run's folder, which holds what is not its own."""
    serve(tmp_path / "repository", FORMER)
    shutil.copytree(former, tmp_path / "run")
    assert fit_from(former, data, tmp_path / "run") == 1
    (line,) = problems(capsys.readouterr().err)
    assert "holds checkpoint-N folders, but no run.json" in line
