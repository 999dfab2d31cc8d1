"""A run that is killed and started again ends as the unbroken one does, to the last bit."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from tests.trainer.conftest import FAST, Trained, aperture_train, fit_flags
from trainer.checkpoints import MANIFEST, is_whole, newest_whole

START_S = 90.0


@contextlib.contextmanager
def started(argv: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`aperture-train` in a process of its own, killed at the latest at the end."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer.cli", *argv],
            stdout=out,
            stderr=out,
            env={**os.environ, "OMP_NUM_THREADS": "1"},  # as in this process
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_checkpoint(run_dir: Path, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Poll until a checkpoint of a running training is whole."""
    deadline = time.monotonic() + START_S
    while not any(run_dir.glob(f"checkpoint-*/{MANIFEST}")):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.005)


def weights(repository: Path) -> dict[str, bytes]:
    graph = onnx.load(repository / "digits" / "1" / "model.onnx").graph
    return {tensor.name: numpy_helper.to_array(tensor).tobytes() for tensor in graph.initializer}


def test_killed_run_resumes_and_ends_as_the_unbroken_one(digits: Path, tmp_path: Path) -> None:
    recipe = (*FAST, "--num_train_epochs", "12", "--augmentation", "crop")
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert aperture_train(*fit_flags(digits, unbroken / "repository", "digits", *recipe)) == 0

    argv = fit_flags(digits, broken / "repository", "digits", *recipe)
    run_dir, log = broken / "runs" / "digits", tmp_path / "log"
    with started(argv, log) as process:
        wait_for_checkpoint(run_dir, process, log)
    assert process.returncode == -9
    assert not (broken / "repository").exists(), "the run ended before it was killed"
    resumed_from = newest_whole(run_dir)
    assert resumed_from is not None

    assert aperture_train(*argv) == 0
    assert weights(broken / "repository") == weights(unbroken / "repository")
    ours, theirs = (
        (parent / "runs" / "digits" / "metrics.json").read_text() for parent in (broken, unbroken)
    )
    assert ours == theirs


def test_half_written_checkpoint_is_removed_and_the_one_before_is_used(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same, for a kill at each moment of writing the last checkpoint."""
    run_dir = Path(shutil.copytree(trained.run_dir, tmp_path / "run"))
    record = json.loads((run_dir / "run.json").read_text())
    record["published"] = None
    record["identity"]["model_repository"] = str(tmp_path / "repository")
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
