"""The served objects are the trained model's: torch, the published graph and the server agree."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from contract.model_config import read_model_config
from tests.live_server import LiveServer, live_server
from tests.picture_files import as_text, instances
from tests.trainer.coco_folders import write_coco_folder
from tests.trainer.conftest import aperture_train
from trainer.checkpoints import newest_whole, open_checkpoint
from trainer.predictors import CheckpointPredictor
from trainer.tasks import load_task
from trainer.tasks.task import Outputs

TOLERANCE = 1e-3
THRESHOLD = 0.13


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained and published detector, and pictures of several shapes with its own answers."""

    folder: Path
    files: list[bytes]
    outputs: Outputs


@pytest.fixture(scope="module", params=["rtdetr-v2-tiny", "detr-tiny"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    data = write_coco_folder(folder / "data", {"train": 24, "validation": 6, "test": 6})
    flags = ["--task", "object-detection", "--name", "boxes", "--model", request.param]
    flags += ["--data", str(data), "--model_repository", str(folder / "repository")]
    flags += [
        "--output_dir",
        str(folder / "run"),
        "--input_size",
        "64",
        "--threshold",
        str(THRESHOLD),
    ]
    flags += ["--learning_rate", "0.002", "--num_train_epochs", "4.5", "--precision", "fp32"]
    assert aperture_train("fit", *flags) == 0
    files = [path.read_bytes() for path in sorted((data / "test").glob("*.png"))]
    checkpoint = newest_whole(folder / "run")
    assert checkpoint is not None
    return Trained(folder, files, CheckpointPredictor(open_checkpoint(checkpoint)).predict(files))


@pytest.fixture(scope="module")
def server(trained: Trained) -> Iterator[LiveServer]:
    flags = ["--model_repository", str(trained.folder / "repository"), "--precision", "fp32"]
    with live_server(trained.folder / "log", *flags) as running:
        yield running


def ask(server: LiveServer, files: list[bytes], **parameters: object) -> list[list[dict[str, Any]]]:
    body = {**instances(*files), "parameters": parameters}
    response = httpx.post(f"{server.url}/v1/models/boxes:predict", json=body, timeout=60)
    assert response.status_code == 200, response.text
    predictions: list[list[dict[str, Any]]] = response.json()["predictions"]
    return predictions


def boxes_px(trained: Trained, index: int) -> NDArray[np.float64]:
    """The trained model's boxes xyxy of a picture in its own pixels, unrounded."""
    width, height = Image.open(io.BytesIO(trained.files[index])).size
    boxes: NDArray[np.float64] = trained.outputs["boxes"][index] * np.array([width, height] * 2)
    return boxes


def test_v2_gives_the_trained_models_boxes(server: LiveServer, trained: Trained) -> None:
    tensor = {"name": "image", "datatype": "BYTES", "shape": [len(trained.files)]}
    body = {"inputs": [{**tensor, "data": [as_text(file) for file in trained.files]}]}
    response = httpx.post(f"{server.url}/v2/models/boxes/infer", json=body, timeout=60)
    assert response.status_code == 200, response.text
    served = {
        output["name"]: np.array(output["data"]).reshape(output["shape"])
        for output in response.json()["outputs"]
    }
    aligned = load_task("object-detection").align(served, trained.outputs)
    for name, expected in trained.outputs.items():
        np.testing.assert_allclose(aligned[name], expected, atol=TOLERANCE)


def test_v1_answers_objects_above_the_models_threshold_best_first(
    server: LiveServer, trained: Trained
) -> None:
    answers = ask(server, trained.files)
    scored = ask(server, trained.files, scores=True)
    assert sum(map(len, answers)) > 0
    for index, (answer, with_scores) in enumerate(zip(answers, scored, strict=True)):
        scores = [entry["score"] for entry in with_scores]
        assert scores == sorted(scores, reverse=True)
        assert len(answer) == np.sum(trained.outputs["scores"][index] > THRESHOLD)
        for entry, found in zip(answer, with_scores, strict=True):
            ((label, box),) = entry.items()
            assert found[label] == box
            assert list(box) == ["xmin", "ymin", "xmax", "ymax"]
            difference = np.abs(boxes_px(trained, index) - list(box.values())).max(axis=1)
            nearest = int(difference.argmin())
            assert difference[nearest] <= 0.5 + TOLERANCE
            assert all(isinstance(corner, int) for corner in box.values())


def test_request_chooses_the_threshold(server: LiveServer, trained: Trained) -> None:
    queries = trained.outputs["scores"].shape[1]
    everything = ask(server, trained.files, threshold=0)
    assert [len(answer) for answer in everything] == [queries] * len(trained.files)
    assert ask(server, trained.files, threshold=1) == [[]] * len(trained.files)


def test_picture_alone_is_answered_as_among_others(server: LiveServer, trained: Trained) -> None:
    together = ask(server, trained.files)
    for file, among_others in zip(trained.files, together, strict=True):
        (alone,) = ask(server, [file])
        # Scores that are equal but for rounding may be the other way round.
        assert sorted(map(str, alone)) == sorted(map(str, among_others))


def test_three_ways_to_evaluate_agree(server: LiveServer, trained: Trained, tmp_path: Path) -> None:
    run, repository = str(trained.folder / "run"), str(trained.folder / "repository")
    sources = (
        ("--checkpoint", run),
        ("--model_repository", repository, "--name", "boxes"),
        ("--url", server.url, "--name", "boxes"),
    )
    numbers = []
    for index, source in enumerate(sources):
        output = tmp_path / f"{index}.json"
        flags = ["--task", "object-detection", "--data", str(trained.folder / "data")]
        assert aperture_train("evaluate", *flags, *source, "--output", str(output)) == 0
        numbers.append(json.loads(output.read_text())["test"])
    assert {"map", "map_50", "map_75", "map_square", "map_disc"} <= numbers[0].keys()
    for other in numbers[1:]:
        assert other == pytest.approx(numbers[0], abs=TOLERANCE)


def test_config_carries_threshold_resize_and_labels(trained: Trained) -> None:
    parameters = read_model_config(trained.folder / "repository" / "boxes").parameters
    assert parameters["threshold"] == repr(THRESHOLD)
    assert parameters["resize"] == "pad"
    assert json.loads(parameters["labels"]) == ["square", "disc"]
