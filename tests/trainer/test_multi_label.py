"""Pictures with any number of labels: their loss, a training of them, and its published model."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from contract.errors import OptionsError
from contract.model_config import ModelConfig, read_model_config
from contract.options import build
from trainer.checkpoints import open_checkpoint
from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.datasets.dataset import Dataset, Sample
from trainer.fit import fit
from trainer.job import Hooks
from trainer.predictors import CheckpointPredictor, PublishedPredictor
from trainer.resnet import ResNet, build_resnet, multi_hot
from trainer.settings import FitSettings
from trainer.tasks.classification import TASK, positive_weights
from trainer.tasks.task import Task

LABELS = ("red", "green", "blue")


def lights(split: str, count: int, folder: Path) -> Iterator[Sample]:
    """Pictures in which each colour is alight or not; of red seldom."""
    random = np.random.default_rng(len(split))
    for index in range(count):
        alight = random.random(3) < (0.25, 0.5, 0.5)
        pixels = random.integers(0, 90, (16, 16, 3), dtype=np.uint8) + 160 * alight
        path = folder / f"{split}-{index}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        yield Sample(path, tuple(np.flatnonzero(alight).tolist()))


class Logs(TrainerCallback):
    """Keeps what the training says of itself."""

    def __init__(self) -> None:
        self.trained: list[dict[str, float]] = []

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        if logs is not None and "loss" in logs:
            self.trained.append(dict(logs))


@dataclass(frozen=True)
class Lights:
    """A training of lights."""

    folder: Path
    dataset: Dataset
    logged: list[dict[str, float]]

    @property
    def config(self) -> ModelConfig:
        return read_model_config(self.folder / "repository" / "lights")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Lights:
    folder = tmp_path_factory.mktemp("lights")
    splits = {
        split: tuple(lights(split, count, folder))
        for split, count in {"train": 96, "validation": 32}.items()
    }
    dataset = Dataset(folder, LABELS, splits)
    settings = FitSettings(
        task="image-classification",
        data=folder,
        model_repository=folder / "repository",
        name="lights",
        output_dir=folder / "run",
    )
    wanted = ClassificationHyperparameters(
        model="resnet-tiny",
        input_size=16,
        num_train_epochs=4,
        learning_rate=0.02,
        multi_label=True,
        use_weighted_loss=True,
    )

    def read(_task: Task, _data: Path) -> Dataset:
        return dataset

    logs = Logs()
    assert fit(settings, wanted, read, Hooks(callbacks=(logs,), train_metrics=True)) is not None
    return Lights(folder, dataset, logs.trained)


def test_training_learns_each_label_by_itself(trained: Lights) -> None:
    metrics = json.loads((trained.folder / "run" / "metrics.json").read_text())
    validation = metrics["splits"]["validation"]
    assert validation["accuracy"] > 0.9  # always no: 0.58
    assert validation["recall/red"] > 0.6
    assert set(validation) == {
        name + suffix
        for name in ("accuracy", "precision", "recall", "f1")
        for suffix in ("", "/red", "/green", "/blue")
    }


def test_published_model_answers_with_a_probability_for_each_label(trained: Lights) -> None:
    assert trained.config.parameters["multi_label"] == "true"
    assert "validation_accuracy" in trained.config.parameters
    files = [sample.path.read_bytes() for sample in trained.dataset.splits["validation"]]
    checkpoint = open_checkpoint(trained.folder / "run")
    ours = CheckpointPredictor(checkpoint).predict(files)["scores"]
    published = PublishedPredictor(TASK, trained.folder / "repository", "lights", None)
    theirs = published.predict(files)["scores"]
    assert np.allclose(ours, theirs, atol=1e-5)
    assert (np.abs(theirs.sum(axis=1) - 1) > 0.1).any(), "labels do not exclude each other"


def test_training_says_its_own_accuracy_where_it_says_its_loss(trained: Lights) -> None:
    accuracies = [entry["accuracy"] for entry in trained.logged]
    assert len(accuracies) == 4
    assert accuracies[-1] > accuracies[0]
    assert all(0 <= accuracy <= 1 for accuracy in accuracies)


def entropy(logits: NDArray[np.float64], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The binary cross-entropy of each label of each picture."""
    probability = 1 / (1 + np.exp(-logits))
    return -np.where(truth, np.log(probability), np.log(1 - probability))


def test_loss_is_the_mean_of_each_labels_cross_entropy_weighted_only_in_training() -> None:
    wanted = ClassificationHyperparameters(model="resnet-tiny", multi_label=True)
    model = build_resnet(wanted, LABELS)
    assert isinstance(model, ResNet)
    nn.Module.eval(model)
    model.positive_weights = torch.tensor([3.0, 1.0, 0.5])
    pixels, labels = torch.rand(2, 3, 16, 16), torch.tensor([[0, 2], [-1, -1]])
    truth = np.array([[True, False, True], [False, False, False]])
    assert torch.equal(multi_hot(labels, 3), torch.tensor(truth).float())
    output = model(pixel_values=pixels, labels=labels)
    plain = entropy(output.logits.detach().double().numpy(), truth)
    assert float(output.loss.detach()) == pytest.approx(plain.mean(), rel=1e-5)
    model.training = True  # its batch norms stay as they are
    weighted = model(pixel_values=pixels, labels=labels).loss
    expected = (plain * np.where(truth, [3.0, 1.0, 0.5], 1)).mean()
    assert float(weighted.detach()) == pytest.approx(expected, rel=1e-5)


def test_single_label_may_be_there_or_not() -> None:
    wanted = ClassificationHyperparameters(model="resnet-tiny", multi_label=True)
    model = build_resnet(wanted, ("on",))
    pixels, labels = torch.rand(2, 3, 16, 16), torch.tensor([[0], [-1]])
    assert torch.isfinite(model(pixel_values=pixels, labels=labels).loss)
    serving = TASK.serving_module(model)
    nn.Module.eval(model)
    (scores,) = serving(torch.zeros(2, 16, 16, 3, dtype=torch.uint8))
    assert scores.shape == (2, 1)
    assert ((scores > 0) & (scores < 1)).all(), "softmax would say 1"


def test_weights_are_the_pictures_without_a_label_for_one_with_it() -> None:
    targets = ((0,), (0, 1), (0,), ())
    samples = [Sample(Path("x"), target) for target in targets]
    assert positive_weights(samples, 3).tolist() == pytest.approx([1 / 3, 3, 1])


def test_a_label_that_every_picture_has_counts_as_it_is() -> None:
    samples = [Sample(Path("x"), target) for target in ((0, 1), (0,), (0,))]
    assert positive_weights(samples, 3).tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    "options", [{"use_weighted_loss": "true"}, {"multi_label": "true", "top_k": "2"}]
)
def test_options_of_the_other_kind_of_labels_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(OptionsError, match="multi_label"):
        build(ClassificationHyperparameters, options)
