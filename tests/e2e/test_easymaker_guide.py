"""The program at the end of EasyMaker's guide, as it stands, makes requests that are answered."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.e2e.conftest import ThreeTasks
from tests.picture_files import china_jpeg, noise, noise_png
from tests.tiny_models import LABELS as COLOURS
from tests.tiny_models import colour_scores
from tests.trainer.segmentation_folders import LABELS
from trainer.predictors import CheckpointPredictor

SEEDS = Path(__file__).parents[3] / "shared" / "seeds"
HEADING = "[Note] Image byte array conversion python code"
FIRST_LINE = "import base64"
LINK_TO_THE_TOP = "TOP"


def guide(language: str) -> str:
    """The guide's text, without the link at the foot of its page."""
    path = SEEDS / f"easymaker_algorithms_{language}.txt"
    if not path.is_file():
        pytest.skip(f"EasyMaker's guide is not at {path.relative_to(SEEDS.parents[1])}")
    return path.read_text(encoding="utf-8").rstrip().removesuffix(LINK_TO_THE_TOP)


def program() -> str:
    """The program, character for character."""
    _, heading, code = guide("en").rpartition(HEADING)
    assert heading
    return code.lstrip()


def ask(three_tasks: ThreeTasks, tmp_path: Path, model: str, picture: bytes) -> Any:
    """Convert a picture by the guide's program and send what it writes, as it is."""
    (tmp_path / "program.py").write_text(program(), encoding="utf-8")
    (tmp_path / "picture").write_bytes(picture)
    command = [sys.executable, "program.py", "picture"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    url = f"{three_tasks.server.url}/inference?model={model}"
    response = httpx.post(url, content=(tmp_path / "input.json").read_bytes(), timeout=60)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def test_classification_is_the_bare_list_of_labels(three_tasks: ThreeTasks, tmp_path: Path) -> None:
    answer = ask(three_tasks, tmp_path, "colour", noise_png(3))
    scores = colour_scores(noise(3)[None])[0]
    assert [entry["label"] for entry in answer] == [COLOURS[i] for i in np.argsort(-scores)]
    np.testing.assert_allclose(
        [entry["score"] for entry in answer], np.sort(scores)[::-1], atol=1e-5
    )


def test_segmentation_is_rows_of_ids(three_tasks: ThreeTasks, tmp_path: Path) -> None:
    answer = ask(three_tasks, tmp_path, "blocks", china_jpeg())
    expected = CheckpointPredictor(three_tasks.blocks).predict([china_jpeg()])["label_map"]
    assert len(np.unique(expected)) > 1
    assert answer == {"predictions": expected.tolist()}


def test_detection_is_a_box_for_each_object(three_tasks: ThreeTasks, tmp_path: Path) -> None:
    answer = ask(three_tasks, tmp_path, "boxes", china_jpeg())
    assert list(answer) == ["predictions"]
    ((*objects,),) = answer["predictions"]
    outputs = CheckpointPredictor(three_tasks.boxes).predict([china_jpeg()])
    threshold = float(three_tasks.boxes.origin.parameters["threshold"])
    above = outputs["scores"][0] > threshold
    assert len(objects) == np.count_nonzero(above) > 0
    boxes = outputs["boxes"][0][above] * [640, 427, 640, 427]
    labels = outputs["labels"][0][above]
    for entry in objects:
        ((label, box),) = entry.items()
        assert list(box) == ["xmin", "ymin", "xmax", "ymax"]
        same = boxes[labels == LABELS.index(label)]
        assert np.abs(same - list(box.values())).max(axis=1).min() <= 0.5 + 1e-3


def test_the_japanese_guide_has_the_same_program() -> None:
    """Its text has lost its indentation, so it is compared and not run."""
    japanese = guide("ja")
    found = japanese[japanese.rindex(FIRST_LINE) :]
    assert "".join(found.split()) == "".join(program().split())
