"""The examples print what the server answers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.conftest import ThreeTasks
from tests.picture_files import instances


def test_ask_boxes_prints_score_label_and_box(
    three_tasks: ThreeTasks, png_files: list[Path]
) -> None:
    url = three_tasks.server.url
    with three_tasks.server.client() as http:
        body = {**instances(png_files[2].read_bytes()), "parameters": {"scores": True}}
        (objects,) = http.post("/v1/models/boxes:predict", json=body).json()["predictions"]
    lines = run_example("ask_boxes", url, "boxes", str(png_files[2])).splitlines()
    assert len(lines) == len(objects) > 0
    for line, found in zip(lines, objects, strict=True):
        score = found.pop("score")
        ((label, box),) = found.items()
        assert line == f"{score:f}  {label}  {box}"


def test_ask_mask_writes_a_mask_of_the_pictures_size(
    three_tasks: ThreeTasks, png_files: list[Path], tmp_path: Path
) -> None:
    mask = tmp_path / "mask.png"
    run_example("ask_mask", three_tasks.server.url, "blocks", str(png_files[2]), str(mask))
    with three_tasks.server.client() as http:
        body = {**instances(png_files[2].read_bytes()), "parameters": {"size": "original"}}
        (rows,) = http.post("/v1/models/blocks:predict", json=body).json()["predictions"]
    with Image.open(mask) as written, Image.open(png_files[2]) as picture:
        assert written.size == picture.size
        np.testing.assert_array_equal(np.asarray(written), rows)


@pytest.mark.parametrize("name", ["ask_boxes", "ask_mask", "ask_easymaker", "ask_v1"])
def test_an_example_without_arguments_says_how_it_is_run(name: str) -> None:
    command = [sys.executable, f"examples/{name}.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"python examples/{name}.py http://localhost:8080 " in done.stderr
    assert "Traceback" not in done.stderr


def run_example(name: str, *arguments: str) -> str:
    """What an example prints."""
    command = [sys.executable, f"examples/{name}.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
