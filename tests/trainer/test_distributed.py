"""torchrun starts the same command in several processes, unchanged."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contract.model_config import read_model_config
from tests.trainer.conftest import FAST, fit_flags
from tests.trainer.runs import started, trained_weights, wait_for_checkpoint
from trainer.checkpoints import newest_whole, steps_of

IN_TWO = (
    *("-m", "torch.distributed.run", "--nproc_per_node", "2"),
    *("--rdzv_backend", "c10d", "--rdzv_endpoint", "127.0.0.1:0"),
)


def torchrun(*argv: str) -> "subprocess.CompletedProcess[str]":
    """Run `aperture-train` in two processes on this machine."""
    return subprocess.run(
        [sys.executable, *IN_TWO, "-m", "trainer", *argv],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_train_one_model_and_publish_it_once(digits: Path, tmp_path: Path) -> None:
    argv = fit_flags(digits, tmp_path / "repository", "digits", *FAST)
    process = torchrun(*argv)
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("published ") == 1
    metrics = json.loads((tmp_path / "runs" / "digits" / "metrics.json").read_text())
    assert len(metrics["epochs"]) == 3
    config = read_model_config(tmp_path / "repository" / "digits")
    assert float(config.parameters["test_accuracy"]) == metrics["splits"]["test"]["accuracy"]
    assert (tmp_path / "runs" / "digits" / "checkpoint-15" / "rng_state_1.pth").is_file()

    again = torchrun(*argv)
    assert again.returncode == 0, again.stderr
    assert "was published by this run before" in again.stdout


@pytest.mark.slow
def test_an_error_ends_every_process(tmp_path: Path) -> None:
    process = torchrun(*fit_flags(tmp_path, tmp_path / "repository", "digits"))
    assert process.returncode != 0
    assert process.stderr.count("error: ") >= 1
    assert not (tmp_path / "repository").exists()


@pytest.mark.slow
def test_two_processes_that_are_stopped_end_after_the_same_step_and_go_on(
    digits: Path, tmp_path: Path
) -> None:
    recipe = (*FAST, "--num_train_epochs", "12", "--augmentation", "crop")
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    whole = torchrun(*fit_flags(digits, unbroken / "repository", "digits", *recipe))
    assert whole.returncode == 0, whole.stderr
    argv, log = fit_flags(digits, broken / "repository", "digits", *recipe), tmp_path / "log"
    run_dir = broken / "runs" / "digits"
    with started(argv, log, *IN_TWO) as process:
        wait_for_checkpoint(run_dir, process, log)
        process.send_signal(signal.SIGTERM)  # torchrun passes it on
        assert process.wait() != 0
    assert "error: stopped as asked" in log.read_text()
    stopped = newest_whole(run_dir)
    assert stopped is not None
    assert (stopped / "rng_state_1.pth").is_file()
    assert steps_of(stopped) < 60, "it ended before it was stopped"
    again = torchrun(*argv)
    assert again.returncode == 0, again.stderr
    last = "checkpoint-60"
    ours, theirs = (parent / "runs" / "digits" / last for parent in (broken, unbroken))
    assert trained_weights(ours) == trained_weights(theirs)
