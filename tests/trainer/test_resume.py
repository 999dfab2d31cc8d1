"""A run that is killed and started again ends as the unbroken one does, to the last bit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from tests.trainer.coco_folders import write_coco_folder
from tests.trainer.conftest import FAST, Trained, aperture_train, fit_flags
from tests.trainer.runs import Ended, end, started, trained_weights, wait_for_checkpoint
from tests.trainer.segmentation_folders import write_blocks
from trainer.checkpoints import is_whole, newest_whole


def weights(repository: Path, name: str = "digits") -> dict[str, bytes]:
    graph = onnx.load(repository / name / "1" / "model.onnx").graph
    return {tensor.name: numpy_helper.to_array(tensor).tobytes() for tensor in graph.initializer}


def kill(argv: list[str], run_dir: Path, log: Path) -> None:
    """Kill a run as soon as it has a checkpoint."""
    with started(argv, log) as process:
        wait_for_checkpoint(run_dir, process, log)
    assert process.returncode == -9
    assert not (run_dir / "metrics.json").exists(), "the run ended before it was killed"
    assert newest_whole(run_dir) is not None


def test_killed_run_resumes_and_ends_as_the_unbroken_one(digits: Path, tmp_path: Path) -> None:
    recipe = (*FAST, "--num_train_epochs", "12", "--augmentation", "crop")
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert aperture_train(*fit_flags(digits, unbroken / "repository", "digits", *recipe)) == 0
    argv = fit_flags(digits, broken / "repository", "digits", *recipe)
    kill(argv, broken / "runs" / "digits", tmp_path / "log")
    assert aperture_train(*argv) == 0
    assert weights(broken / "repository") == weights(unbroken / "repository")
    ours, theirs = (
        (parent / "runs" / "digits" / "metrics.json").read_text() for parent in (broken, unbroken)
    )
    assert ours == theirs


def write_boxes(folder: Path) -> Path:
    return write_coco_folder(folder, {"train": 8, "validation": 2})


@pytest.mark.parametrize(
    ("task", "model", "write", "augmentation"),
    [
        ("semantic-segmentation", "segformer-tiny", write_blocks, ()),
        ("object-detection", "detr-tiny", write_boxes, ("--augmentation", "crop_color")),
        ("object-detection", "rtdetr-v2-tiny", write_boxes, ("--augmentation", "crop_color")),
    ],
)
def test_killed_segmenters_and_detectors_resume_to_the_last_bit(
    tmp_path: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    model: str,
    write: Callable[[Path], Path],
    augmentation: tuple[str, ...],
) -> None:
    """They end before their export, which is most of their time and is the classifier's above."""
    monkeypatch.setattr("trainer.fit.export_and_publish", end)
    recipe = ("--model", model, "--input_size", "96", "--num_train_epochs", "3", *augmentation)
    recipe = (*recipe, "--learning_rate", "0.001")
    data = write(tmp_path / "data")
    unbroken, broken = (
        [
            *("fit", "--task", task, "--data", str(data), "--name", "some", *recipe),
            *("--model_repository", str(tmp_path / run / "repository")),
            *("--output_dir", str(tmp_path / run / "run")),
        ]
        for run in ("unbroken", "broken")
    )
    kill(broken, tmp_path / "broken" / "run", tmp_path / "log")
    for argv in (unbroken, broken):
        with pytest.raises(Ended):
            aperture_train(*argv)
    ours, theirs = (tmp_path / run / "run" for run in ("broken", "unbroken"))
    last = newest_whole(theirs)
    assert last is not None
    assert trained_weights(ours / last.name) == trained_weights(last)
    assert (ours / "metrics.json").read_text() == (theirs / "metrics.json").read_text()


def test_half_written_checkpoint_is_removed_and_the_one_before_is_used(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same, for a kill at each moment of writing the last checkpoint."""
    run_dir = Path(shutil.copytree(trained.run_dir, tmp_path / "run"))
    record = json.loads((run_dir / "run.json").read_text())
    record["published"] = None
    (run_dir / "run.json").write_text(json.dumps(record))
    (run_dir / "metrics.json").unlink()
    (run_dir / "checkpoint-30" / "optimizer.pt").write_bytes(b"half")
    caplog.set_level("INFO", logger="trainer")
    flags = fit_flags(trained.data, tmp_path / "repository", "digits", *FAST)
    assert aperture_train(*flags, "--output_dir", str(run_dir)) == 0
    assert "event=removed_incomplete_checkpoint" in caplog.text
    assert f"event=resume checkpoint={run_dir / 'checkpoint-20'}" in caplog.text
    assert is_whole(run_dir / "checkpoint-30")
    assert weights(tmp_path / "repository") == weights(trained.repository)
