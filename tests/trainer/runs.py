"""Runs of `aperture-train fit` in processes of their own or to their export, and what they learned."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from safetensors.torch import load_file

from trainer.checkpoints import MANIFEST

START_S = 90.0


@contextlib.contextmanager
def started(argv: list[str], log: Path, *launcher: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`aperture-train` in a process of its own, killed at the latest at the end.

    Args:
        argv: Its command line.
        log: Where its output goes.
        launcher: Options of Python before its module, such as those of torchrun.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *launcher, "-m", "trainer", *argv],
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


def trained_weights(checkpoint: Path) -> dict[str, bytes]:
    """A checkpoint's weights, without the counts of batches, which a start does not keep."""
    return {
        name: tensor.numpy().tobytes()
        for name, tensor in load_file(checkpoint / "model.safetensors").items()
        if not name.endswith("num_batches_tracked")
    }


class Ended(Exception):
    """A run has come to its export."""


def end(*_: object) -> None:
    """End a run in the place of its export."""
    raise Ended
