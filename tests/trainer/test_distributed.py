"""torchrun starts the same command in several processes, unchanged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from contract.model_config import read_model_config
from tests.trainer.conftest import FAST, fit_flags


def torchrun(*argv: str) -> "subprocess.CompletedProcess[str]":
    """Run `aperture-train` in two processes on this machine."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    command += ["--rdzv_backend", "c10d", "--rdzv_endpoint", "127.0.0.1:0", "-m", "trainer.cli"]
    return subprocess.run(
        [*command, *argv],
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
