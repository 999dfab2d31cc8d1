"""FCN, PSPNet and DeepLabV3 answer as the trainer evaluates them; a trained one is served whole."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.random_models import publish_segmenter
from tests.live_server import LiveServer, live_server
from tests.picture_files import china_jpeg, instances
from tests.trainer.conftest import aperture_train
from tests.trainer.segmentation_folders import LABELS, write_blocks
from trainer.checkpoints import Checkpoint, open_checkpoint
from trainer.predictors import CheckpointPredictor
from trainer.tasks.segmentation import TASK

CROP = 64
FIT = (
    *("--task", "semantic-segmentation", "--model", "fcn-tiny", "--crop_size", str(CROP)),
    *("--base_size", "80", "--learning_rate", "0.02", "--num_train_epochs", "8"),
)


@dataclass(frozen=True, slots=True)
class Served:
    """A trained FCN, the others of random weights, and the server of all."""

    data: Path
    run_dir: Path
    checkpoints: dict[str, Checkpoint]
    server: LiveServer


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("networks")
    data, repository, run_dir = folder / "data", folder / "repository", folder / "run"
    write_blocks(data)
    where = ("--data", str(data), "--model_repository", str(repository), "--name", "fcn")
    assert aperture_train("fit", *where, "--output_dir", str(run_dir), *FIT) == 0
    checkpoints = {
        "fcn": open_checkpoint(run_dir),
        "psp": publish_segmenter(repository, "psp", "psp-tiny", 40),
        "deeplab": publish_segmenter(repository, "deeplab", "deeplab-tiny", 40),
    }
    flags = ("--model_repository", str(repository), "--precision", "fp32")
    with live_server(folder / "log", *flags) as server:
        yield Served(data, run_dir, checkpoints, server)


@pytest.mark.parametrize("name", ["fcn", "psp", "deeplab"])
def test_served_label_maps_are_the_trainers(served: Served, name: str) -> None:
    drawn = sorted((served.data / "test" / "images").iterdir())[0].read_bytes()
    files = [china_jpeg(), drawn]
    expected = CheckpointPredictor(served.checkpoints[name]).predict(files)["label_map"]
    with served.server.client() as http:
        answer = http.post(f"/v1/models/{name}:predict", json=instances(*files)).json()
        metadata = http.get(f"/v2/models/{name}").json()
    assert len(np.unique(expected)) > 1
    assert answer["predictions"] == expected.tolist()
    outputs = {output["name"]: output["shape"][1:] for output in metadata["outputs"]}
    side = expected.shape[-1]
    assert outputs == {"label_map": [side, side], "logits": [3, side // 8, side // 8]}


def test_network_that_was_trained_on_crops_beats_every_constant_answer(served: Served) -> None:
    assert_learned(served.run_dir, served.data, LABELS, CROP)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["fcn-tiny", "psp-tiny", "deeplab-tiny"])
def test_each_network_learns_from_random_weights(model: str, tmp_path: Path) -> None:
    data, run_dir = tmp_path / "data", tmp_path / "run"
    task = ("--task", "semantic-segmentation")
    assert aperture_train("sample-data", *task, "--labels", "2", "--count", "120", str(data)) == 0
    where = ("--data", str(data), "--model_repository", str(tmp_path / "repository"))
    recipe = ("--learning_rate", "0.02", "--num_train_epochs", "16", "--input_size", str(CROP))
    argv = (*task, *where, "--name", "model", "--output_dir", str(run_dir), "--model", model)
    batches = ("--per_device_train_batch_size", "8")
    assert aperture_train("fit", *argv, *recipe, *batches) == 0
    assert_learned(run_dir, data, ("background", "circle", "square"), CROP)


def assert_learned(run_dir: Path, data: Path, labels: tuple[str, ...], size: int) -> None:
    """Twice the mean_iou of the best constant answer, on each split."""
    splits = json.loads((run_dir / "metrics.json").read_text())["splits"]
    for split in ("validation", "test"):
        samples = TASK.read_split(data, split, labels).samples
        constant = []
        for label in range(len(labels)):
            metric = TASK.metric(labels)
            maps = np.full((len(samples), size, size), label, np.uint8)
            metric.update({"label_map": maps}, samples)
            constant.append(metric.compute()["mean_iou"])
        assert splits[split]["mean_iou"] > 2 * max(constant)


def test_endpoint_scores_what_the_training_ended_with(served: Served, tmp_path: Path) -> None:
    argv = ("evaluate", "--task", "semantic-segmentation", "--data", str(served.data))
    output = tmp_path / "found.json"
    source = ("--url", served.server.url, "--name", "fcn")
    assert aperture_train(*argv, *source, "--output", str(output)) == 0
    by_fit = json.loads((served.run_dir / "metrics.json").read_text())["splits"]
    assert json.loads(output.read_text())["test"] == by_fit["test"]
