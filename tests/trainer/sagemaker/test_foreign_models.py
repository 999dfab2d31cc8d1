"""Models of AWS' own algorithms in the `model` channel."""

import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.trainer.sagemaker.containers import TINY, failure
from trainer.cli import run
from trainer.hyperparameters import Hyperparameters
from trainer.job import Hooks
from trainer.sagemaker.folders import Folders
from trainer.tasks import TaskName

# as AWS hands a detector of its over, and leaves a trained one
SEED = ("labels_info.json", "pipeline.config", "checkpoint/ckpt-0.index")
TRAINED = ("labels_info.json", "1/saved_model.pb")
MXNET = ("image-classification-0001.params", "image-classification-symbol.json")

Taken = list[tuple[Hyperparameters, Path | None]]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    """The recipes that are asked for and the weights that they start with, without a training."""
    found: Taken = []

    def fit(_settings: object, recipe: Hyperparameters, _read: object, hooks: Hooks) -> None:
        found.append((recipe, hooks.weights))

    monkeypatch.setattr("trainer.sagemaker.job.fit", fit)
    return found


def train(
    base: Path, algorithm: TaskName, names: tuple[str, ...], hyperparameters: Mapping[str, str]
) -> int:
    """Run a job whose `model` channel has an archive of files of these names."""
    channel = Folders(base).data / "model"
    channel.mkdir(parents=True)
    with tarfile.open(channel / "model.tar.gz", "w:gz") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    flags = [f"--{name}={value}" for name, value in hyperparameters.items()]
    variables = {"SAGEMAKER_BASE_DIR": str(base)}
    return run(["train", f"--algorithm={algorithm}", *flags], variables)


@pytest.mark.parametrize("names", [SEED, TRAINED])
@pytest.mark.parametrize(
    ("hyperparameters", "pretrained", "told"),
    [
        ({}, True, "the hub's weights of rtdetr-v2-r50"),
        ({"use_pretrained_model": "False"}, False, "random weights"),
    ],
)
def test_a_detector_of_aws_stands_for_the_hubs_weights(
    tmp_path: Path,
    taken: Taken,
    caplog: pytest.LogCaptureFixture,
    *,
    names: tuple[str, ...],
    hyperparameters: Mapping[str, str],
    pretrained: bool,
    told: str,
) -> None:
    assert train(tmp_path, "object-detection", names, hyperparameters) == 0
    [(recipe, weights)] = taken
    assert (recipe.pretrained, weights) == (pretrained, None)
    assert f"starts as without it, from {told}" in caplog.text


def test_weights_that_the_hub_has_not_are_refused_beside_a_detector_of_aws(tmp_path: Path) -> None:
    wanted = {"model_id": "detr-tiny", "use_pretrained_model": "True"}
    assert train(tmp_path, "object-detection", SEED, wanted) == 2
    assert failure(Folders(tmp_path)).startswith("ClientError: use_pretrained_model: got True, but")


@pytest.mark.parametrize(
    ("algorithm", "names", "program"),
    [
        ("image-classification", MXNET, "MXNet"),
        ("image-classification", SEED, "TensorFlow"),
        ("object-detection", MXNET, "MXNet"),
    ],
)
def test_a_model_of_another_program_is_refused_with_the_way_out(
    tmp_path: Path, algorithm: TaskName, names: tuple[str, ...], program: str
) -> None:
    hyperparameters = TINY if algorithm == "image-classification" else {}
    assert train(tmp_path, algorithm, names, hyperparameters) == 2
    told = failure(Folders(tmp_path))
    archive = Folders(tmp_path).data / "model" / "model.tar.gz"
    start = f"ClientError: channel model: {archive} holds a model of {program}, which cannot be"
    assert told.startswith(start)
    assert "leave out the model channel to start from the hub's weights" in told
