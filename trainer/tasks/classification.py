"""Image classification: label folders -> ResNet -> scores[B, K] in [0, 1].

EasyMaker's guide swaps the words for precision and recall. Here they are scikit-learn's, averaged
over the labels ("macro"): precision is the part of the pictures predicted as a label that are of
it, recall the part of the pictures of a label that are predicted as it. F1 is the mean over the
labels of their own F1, not the harmonic mean of the two averages. A label that neither occurs
nor is predicted counts in none of them; a ratio over nothing is 0.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from torch import Tensor, nn
from transformers import PreTrainedModel

from contract.model_config import LABELS_FILE, Json, TensorSpec
from contract.pictures import Fit, Picture
from trainer.augment import augment, canvas_size
from trainer.datasets.dataset import TRAIN, Dataset, Sample
from trainer.datasets.image_folder import read_image_folder, read_image_split
from trainer.hardware import Hardware
from trainer.hyperparameters import ClassificationHyperparameters, Hyperparameters
from trainer.normalization import normalize, to_unit
from trainer.pictures import Item, View, Whole
from trainer.resnet import FAMILY, build_resnet
from trainer.tasks import TaskName
from trainer.tasks.task import LOSS, Batch, Inputs, Losses, Metric, Metrics, Outputs, Task
from trainer.weights import load_checkpoint

SCORES: Final = "scores"


class ImageClassification:
    """One label a picture."""

    name: TaskName = "image-classification"
    main_metric: str = "accuracy"
    fit: Fit = "squash"
    request_parameters: Mapping[str, Json] = MappingProxyType({})

    def read(self, data: Path) -> Dataset:
        """Read DIR/{train,validation,test}/{label}/picture."""
        return read_image_folder(data)

    def read_split(self, data: Path, split: str, labels: Sequence[str]) -> Dataset:
        """Read DIR/{split}/{label}/picture."""
        return read_image_split(data, split, labels)

    def faults(self, dataset: Dataset) -> list[str]:
        """The labels that have no training picture left, where pictures say what the labels are."""
        if dataset.declared:
            return []
        trained = {sample.target for sample in dataset.splits[TRAIN]}
        return [
            f"{dataset.root / TRAIN / label}: no usable picture is left of this label"
            for index, label in enumerate(dataset.labels)
            if index not in trained
        ]

    def settle(self, wanted: Hyperparameters, _hardware: Hardware) -> Hyperparameters:
        """As they are: nothing is left open."""
        return wanted

    def build_model(self, wanted: Hyperparameters, labels: Sequence[str]) -> PreTrainedModel:
        """A ResNet with one output for each label."""
        return build_resnet(wanted, labels)

    def load_model(self, folder: Path) -> PreTrainedModel:
        """The fp32 ResNet of a checkpoint folder."""
        return load_checkpoint(FAMILY, folder)

    def train_view(self, wanted: Hyperparameters) -> View:
        """The whole picture at the size of the augmentation's canvas."""
        assert isinstance(wanted, ClassificationHyperparameters)  # noqa: S101 - this task's own
        side = canvas_size(wanted.augmentation, wanted.input_size)
        return Whole(side, side, self.fit)

    def collate_train(self, items: Sequence[Item], wanted: Hyperparameters) -> Batch:
        """pixel_values[B, 3, S, S], augmented, and labels[B]."""
        assert isinstance(wanted, ClassificationHyperparameters)  # noqa: S101 - this task's own
        seed = [wanted.seed, *(item.key for item in items)]
        pixels = augment(_stack(items), wanted.augmentation, wanted.input_size, seed)
        return {"pixel_values": pixels, "labels": _targets(items)}

    def collate_eval(self, items: Sequence[Item]) -> Batch:
        """pixel_values[B, 3, S, S] and labels[B]."""
        return {"pixel_values": normalize(to_unit(_stack(items))), "labels": _targets(items)}

    def evaluate_batch(self, model: nn.Module, batch: Batch) -> tuple[Losses, Outputs]:
        """The cross-entropy, and scores[B, K]."""
        result = model(**batch)
        scores = torch.softmax(result.logits.float(), dim=-1)
        return {LOSS: result.loss}, {SCORES: scores.cpu().numpy()}

    def metric(self, _labels: Sequence[str]) -> Metric:
        """Accuracy, precision, recall and F1."""
        return _LabelMetric()

    def illustrate(
        self, _outputs: Outputs, _sample: Sample, _labels: Sequence[str]
    ) -> NDArray[np.uint8] | None:
        """Nothing: a label is no picture."""
        return None

    def prepare(self, picture: Picture) -> Inputs:
        """`image`, RGB uint8 [S, S, 3]."""
        return {"image": picture.pixels}

    def serving_module(self, model: PreTrainedModel) -> nn.Module:
        """Uint8 image[B, S, S, 3] -> scores[B, K]."""
        return _Scores(model)

    def tensors(
        self, _model: PreTrainedModel, input_size: int, labels: Sequence[str]
    ) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """`image` UINT8 [S, S, 3] and `scores` FP32 [K]."""
        image = TensorSpec("image", "UINT8", (input_size, input_size, 3))
        scores = TensorSpec(SCORES, "FP32", (len(labels),), label_filename=LABELS_FILE)
        return (image,), (scores,)

    def align(self, ours: Outputs, _reference: Outputs) -> Outputs:
        """As they are: a score is no choice."""
        return ours

    def parameters(self, _wanted: Hyperparameters) -> Mapping[str, str]:
        """Nothing more."""
        return {}

    def parse_predictions(
        self, predictions: Sequence[Json], labels: Sequence[str], _pictures: Sequence[Picture]
    ) -> Outputs:
        """scores[N, K] from N lists of {"score", "label"}."""
        rows = [_scores_by_label(prediction) for prediction in predictions]
        for row in rows:
            if set(row) != set(labels):
                raise ValueError(f"labels {sorted(row)} instead of {sorted(labels)}")
        scores = [[row[label] for label in labels] for row in rows]
        return {SCORES: np.asarray(scores, dtype=np.float32)}


TASK: Final[Task] = ImageClassification()


class _Scores(nn.Module):
    """A classifier with normalisation before and softmax behind it."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """RGB uint8 image[B, S, S, 3] -> (scores[B, K] in [0, 1],)."""
        logits = self.model(pixel_values=normalize(to_unit(image))).logits
        return (torch.softmax(logits, dim=-1),)


class _LabelMetric:
    """Predicted and actual labels, two integers a picture."""

    def __init__(self) -> None:
        self._predicted: list[int] = []
        self._actual: list[int] = []

    def update(self, outputs: Outputs, samples: Sequence[Sample]) -> None:
        """Take in scores[B, K]; of equal scores the first label wins."""
        self._predicted += np.argmax(outputs[SCORES], axis=-1).tolist()
        self._actual += [_index(sample) for sample in samples]

    def merge(self, other: Self) -> None:
        """Take in another process's labels."""
        self._predicted += other._predicted
        self._actual += other._actual

    def compute(self) -> Metrics:
        """Accuracy, and macro precision, recall and F1."""
        return _metrics(np.asarray(self._predicted), np.asarray(self._actual))


def _metrics(predicted: NDArray[np.int64], actual: NDArray[np.int64]) -> Metrics:
    precision, recall, f1, _ = precision_recall_fscore_support(
        actual, predicted, average="macro", zero_division=0.0
    )
    return {
        "accuracy": float(accuracy_score(actual, predicted)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
    }


def _stack(items: Sequence[Item]) -> Tensor:
    return torch.from_numpy(np.stack([item.pixels for item in items]))


def _targets(items: Sequence[Item]) -> Tensor:
    return torch.tensor([_index(item.sample) for item in items], dtype=torch.int64)


def _index(sample: Sample) -> int:
    assert isinstance(sample.target, int)  # noqa: S101 - what image_folder.py puts there
    return sample.target


def _scores_by_label(prediction: Json) -> dict[str, float]:
    if not isinstance(prediction, list):
        kind = type(prediction).__name__
        raise ValueError(f"{kind} instead of a list")  # noqa: TRY004 - a bad answer, not a bad call
    scores: dict[str, float] = {}
    for entry in prediction:
        match entry:
            case {"label": str(label), "score": float() | int() as score}:
                scores[label] = float(score)
            case _:
                raise ValueError(f"{entry!r} instead of a score and a label")
    return scores
