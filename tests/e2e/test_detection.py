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
from contract.sessions import detect_machine
from tests.clients import run_client
from tests.live_server import LiveServer, live_server
from tests.picture_files import instances
from tests.trainer.coco_folders import CATEGORIES, write_annotations, write_coco_folder
from tests.trainer.conftest import aperture_train
from trainer.checkpoints import newest_whole, open_checkpoint
from trainer.predictors import CheckpointPredictor
from trainer.tasks import load_task
from trainer.tasks.task import Outputs

TOLERANCE = 1e-3
THRESHOLD = 0.13
BF16_BOX = 0.02  # of a side of the picture
BF16_SCORE = 0.02
BF16_METRIC = 0.05


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained and published detector, and pictures of several shapes with its own answers."""

    folder: Path
    paths: list[Path]
    files: list[bytes]
    outputs: Outputs


@pytest.fixture(scope="module", params=["rtdetr-v2-tiny", "detr-tiny"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    data = write_coco_folder(folder / "data", {"train": 24, "validation": 6, "test": 6})
    flags = ["--task", "object-detection", "--name", "boxes", "--model", request.param]
    flags += ["--data", str(data), "--model_repository", str(folder / "repository")]
    flags += ["--output_dir", str(folder / "run"), "--input_size", "64"]
    flags += ["--threshold", str(THRESHOLD)]
    flags += ["--learning_rate", "0.002", "--num_train_epochs", "4.5", "--precision", "fp32"]
    assert aperture_train("fit", *flags) == 0
    paths = sorted((data / "test").glob("*.png"))
    files = [path.read_bytes() for path in paths]
    checkpoint = newest_whole(folder / "run")
    assert checkpoint is not None
    predictor = CheckpointPredictor(open_checkpoint(checkpoint))
    return Trained(folder, paths, files, predictor.predict(files))


@pytest.fixture(scope="module")
def server(trained: Trained) -> Iterator[LiveServer]:
    flags = ["--model_repository", str(trained.folder / "repository"), "--precision", "fp32"]
    with live_server(trained.folder / "log", *flags) as running:
        yield running


@pytest.fixture(scope="module")
def bf16_server(trained: Trained) -> Iterator[LiveServer]:
    if not {"amx_bf16", "avx512_bf16"} & detect_machine().cpu_flags:
        pytest.skip("the CPU has neither AMX nor AVX512-BF16")
    flags = ["--model_repository", str(trained.folder / "repository"), "--precision", "bf16"]
    with live_server(trained.folder / "log-bf16", *flags) as running:
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


def infer(server: LiveServer, trained: Trained, protocol: str) -> Outputs:
    """What tritonclient gets for the pictures."""
    port = server.http_port if protocol == "rest" else server.grpc_port
    names, paths = ",".join(trained.outputs), map(str, trained.paths)
    served = run_client("triton", protocol, f"127.0.0.1:{port}", "boxes", "bytes", names, *paths)
    return {name: np.array(output) for name, output in zip(trained.outputs, served, strict=True)}


def evaluate(trained: Trained, data: Path, *source: str) -> dict[str, float]:
    """The metrics of the split `test` by `aperture-train evaluate`."""
    output = trained.folder / "metrics.json"
    flags = ["--task", "object-detection", "--data", str(data), "--output", str(output)]
    assert aperture_train("evaluate", *flags, *source) == 0
    metrics: dict[str, float] = json.loads(output.read_text())["test"]
    return metrics


def own_answers_as_truth(trained: Trained, folder: Path) -> Path:
    """The test pictures annotated with the trained model's own objects, so that it finds them all."""
    (folder / "test").mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, path in enumerate(trained.paths):
        (folder / "test" / path.name).write_bytes(trained.files[index])
        with Image.open(path) as image:
            width, height = image.size
        images.append({"id": index, "file_name": path.name, "width": width, "height": height})
        for query in np.flatnonzero(trained.outputs["scores"][index] > THRESHOLD):
            left, top, right, bottom = boxes_px(trained, index)[query].tolist()
            label = CATEGORIES[trained.outputs["labels"][index, query]]["id"]
            box = [left, top, right - left, bottom - top]
            annotations.append({"id": len(annotations), "image_id": index, "bbox": box})
            annotations[-1] |= {"category_id": label, "iscrowd": 0}
    write_annotations(folder / "test", images, annotations)
    return folder


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_v2_gives_the_trained_models_boxes(
    server: LiveServer, trained: Trained, protocol: str
) -> None:
    aligned = load_task("object-detection").align(infer(server, trained, protocol), trained.outputs)
    for name, expected in trained.outputs.items():
        np.testing.assert_allclose(aligned[name], expected, atol=TOLERANCE)


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_bf16_moves_boxes_and_scores_little(
    bf16_server: LiveServer, trained: Trained, protocol: str
) -> None:
    served = infer(bf16_server, trained, protocol)
    clear = trained.outputs["scores"] > THRESHOLD + BF16_SCORE
    assert clear.any()
    for index, query in np.argwhere(clear):
        same = served["labels"][index] == trained.outputs["labels"][index, query]
        boxes, scores = served["boxes"][index][same], served["scores"][index][same]
        moved = np.abs(boxes - trained.outputs["boxes"][index, query]).max(axis=1)
        changed = np.abs(scores - trained.outputs["scores"][index, query])
        assert ((moved <= BF16_BOX) & (changed <= BF16_SCORE)).any()


def test_bf16_changes_the_metrics_little(
    bf16_server: LiveServer, trained: Trained, tmp_path: Path
) -> None:
    data = own_answers_as_truth(trained, tmp_path)
    own = evaluate(trained, data, "--checkpoint", str(trained.folder / "run"))
    assert own["map"] > 0.9
    served = evaluate(trained, data, "--url", bf16_server.url, "--name", "boxes")
    assert served == pytest.approx(own, abs=BF16_METRIC)


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
    repository = str(trained.folder / "repository")
    by_own = own_answers_as_truth(trained, tmp_path)
    names = {"map", "map_50", "map_75"}
    for data, known, least in (
        (trained.folder / "data", names | {"map/square", "map/disc"}, 0),
        (by_own, names, 0.9),
    ):
        expected = evaluate(trained, data, "--checkpoint", str(trained.folder / "run"))
        assert known <= expected.keys()
        assert expected["map"] >= least
        for source in ("--model_repository", repository), ("--url", server.url):
            found = evaluate(trained, data, *source, "--name", "boxes")
            assert found == pytest.approx(expected, abs=TOLERANCE)


def test_config_carries_threshold_resize_and_labels(trained: Trained) -> None:
    parameters = read_model_config(trained.folder / "repository" / "boxes").parameters
    assert parameters["threshold"] == repr(THRESHOLD)
    assert parameters["resize"] == "pad"
    assert json.loads(parameters["labels"]) == ["square", "disc"]
