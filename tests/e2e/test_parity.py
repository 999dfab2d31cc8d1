"""The served answer is the trained model's: torch, the published graph and the server agree."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.live_server import LiveServer, live_server
from tests.picture_files import instances
from tests.trainer.conftest import aperture_train
from trainer.checkpoints import newest_whole, open_checkpoint
from trainer.predictors import CheckpointPredictor

FP32_TOLERANCE = 1e-3
BF16_TOLERANCE = 0.05
BF16_OTHER_LABELS = 0.005


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained and published model and its validation pictures."""

    folder: Path
    files: list[bytes]
    labels: tuple[str, ...]
    scores: NDArray[np.float32]  # [N, K] of the fp32 model in torch


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    data, task = str(folder / "data"), ("--task", "image-classification")
    assert aperture_train("sample-data", *task, "--count", "200", data) == 0
    places = ("--model_repository", str(folder / "repository"), "--output_dir", str(folder / "run"))
    model = ("--model", "resnet-tiny", "--input_size", "32", "--learning_rate", "0.02")
    names = ("--data", data, "--name", "shapes", "--num_train_epochs", "10")
    assert aperture_train("fit", *task, *names, *places, *model) == 0
    files = [path.read_bytes() for path in sorted(Path(data, "validation").glob("*/*.png"))]
    checkpoint = newest_whole(folder / "run")
    assert checkpoint is not None
    predictor = CheckpointPredictor(open_checkpoint(checkpoint))
    scores = np.asarray(predictor.predict(files)["scores"], np.float32)
    return Trained(folder, files, predictor.labels, scores)


@pytest.fixture(scope="module", params=["fp32", "auto"])
def server(request: pytest.FixtureRequest, trained: Trained) -> Iterator[LiveServer]:
    flags = ["--model_repository", str(trained.folder / "repository")]
    with live_server(trained.folder / "log", *flags, "--precision", request.param) as running:
        yield running


def served_scores(server: LiveServer, trained: Trained) -> NDArray[np.float64]:
    answers = httpx.post(
        server.url + "/v1/models/shapes:predict", json=instances(*trained.files), timeout=60
    ).json()["predictions"]
    rows = [{entry["label"]: entry["score"] for entry in answer} for answer in answers]
    return np.array([[row[label] for label in trained.labels] for row in rows])


def serves_fp32(server: LiveServer) -> bool:
    parameters = httpx.get(server.url + "/v2/models/shapes/config").json()["parameters"]
    return bool(parameters["execution_precision"]["string_value"] == "fp32")


def test_served_scores_are_those_of_the_trained_model(server: LiveServer, trained: Trained) -> None:
    fp32 = serves_fp32(server)
    served = served_scores(server, trained)
    tolerance = FP32_TOLERANCE if fp32 else BF16_TOLERANCE
    np.testing.assert_allclose(served, trained.scores, atol=tolerance)
    other = np.mean(served.argmax(axis=1) != trained.scores.argmax(axis=1))
    assert other <= (0 if fp32 else BF16_OTHER_LABELS)


def test_batched_answers_equal_those_of_one_by_one(server: LiveServer, trained: Trained) -> None:
    together = served_scores(server, trained)
    for i in range(0, len(trained.files), 20):
        one = Trained(trained.folder, trained.files[i : i + 1], trained.labels, trained.scores)
        # Another batch size may take another kernel, which sums in another order.
        tolerance = 1e-5 if serves_fp32(server) else 1e-2
        np.testing.assert_allclose(served_scores(server, one)[0], together[i], atol=tolerance)
