"""The commands of docs/easymaker.md do what stands beside them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from contract.options import build
from contract.repository import list_versions
from server.tasks.detection import DetectionOptions
from server.tasks.segmentation import SegmentationOptions
from tests.documents import code_without_output

GUIDE = Path(__file__).parent.parent / "docs" / "easymaker.md"


@pytest.fixture(scope="module")
def blocks() -> list[str]:
    return code_without_output(GUIDE.read_text(encoding="utf-8"))


def run_in(folder: Path, code: str) -> str:
    """What a block of shell prints, with this environment's commands."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", code],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_parameters_that_it_shows_are_what_the_tasks_take(
    blocks: list[str], tmp_path: Path
) -> None:
    (code,) = [block for block in blocks if "curl" in block]
    (tmp_path / "picture.jpg").write_bytes(b"abc")
    # Instead of sending it, print the body: it is the last of the arguments.
    printed = run_in(tmp_path, 'curl() { echo "${@: -1}" | tr -d "\\n"; echo; }\n' + code)
    objects, regions = (json.loads(line) for line in printed.splitlines())
    assert objects["instances"] == regions["instances"] == [{"data": "YWJj"}]
    detection = build(DetectionOptions, objects["parameters"])
    assert (detection.threshold, detection.scores) == (0.3, True)
    segmentation = build(SegmentationOptions, regions["parameters"])
    assert (segmentation.format, segmentation.size) == ("png", "original")


def test_the_container_that_it_shows_leaves_a_model_folder(
    blocks: list[str], tmp_path: Path
) -> None:
    (code,) = [block for block in blocks if "EM_MODEL_DIR" in block]
    run_in(tmp_path, code)
    assert list_versions(tmp_path / "model_repository" / "shapes") == [1]
    assert list((tmp_path / "events").glob("events.*"))
    assert list((tmp_path / "checkpoints").glob("checkpoint-*"))
