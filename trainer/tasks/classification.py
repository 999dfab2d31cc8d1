"""Image classification: label folders -> ResNet -> scores[B, K] in [0, 1].

EasyMaker's guide swaps the words for precision and recall. Here they are scikit-learn's, averaged
over the labels ("macro"): precision is the part of the pictures predicted as a label that are of
it, recall the part of the pictures of a label that are predicted as it. F1 is the mean over the
labels of their own F1, not the harmonic mean of the two averages. A label that neither occurs
nor is predicted counts in none of them; a ratio over nothing is 0.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from torch import Tensor, nn
from transformers import EvalPrediction, PreTrainedModel

from contract.model_config import LABELS_FILE, Json, TensorSpec
from trainer.augment import augment, canvas_size
from trainer.datasets.dataset import Dataset, Target
from trainer.datasets.image_folder import read_image_folder, read_image_split
from trainer.hyperparameters import Hyperparameters
from trainer.normalization import normalize, to_unit
from trainer.pictures import Item
from trainer.resnet import build_resnet, load_resnet
from trainer.tasks import TaskName
from trainer.tasks.task import Batch, Metrics, Outputs, Task

SCORES: Final = "scores"


class ImageClassification:
    """One label a picture."""

    name: TaskName = "image-classification"
    resize = "squash"

    def read(self, data: Path) -> Dataset:
        """Read DIR/{train,validation,test}/{label}/picture."""
        return read_image_folder(data)

    def read_split(self, data: Path, split: str, labels: Sequence[str]) -> Dataset:
        """Read DIR/{split}/{label}/picture."""
        return read_image_split(data, split, labels)

    def build_model(self, wanted: Hyperparameters, labels: Sequence[str]) -> PreTrainedModel:
        """A ResNet with one output for each label."""
        return build_resnet(wanted, labels)

    def load_model(self, folder: Path) -> PreTrainedModel:
        """The fp32 ResNet of a checkpoint folder."""
        return load_resnet(folder)

    def train_size(self, wanted: Hyperparameters) -> int:
        """The augmentation's canvas."""
        return canvas_size(wanted.augmentation, wanted.input_size)

    def collate_train(self, items: Sequence[Item], wanted: Hyperparameters) -> Batch:
        """pixel_values[B, 3, S, S], augmented, and labels[B]."""
        seed = [wanted.seed, *(item.key for item in items)]
        pixels = augment(_stack(items), wanted.augmentation, wanted.input_size, seed)
        return {"pixel_values": pixels, "labels": _targets(items)}

    def collate_eval(self, items: Sequence[Item]) -> Batch:
        """pixel_values[B, 3, S, S] and labels[B]."""
        return {"pixel_values": normalize(to_unit(_stack(items))), "labels": _targets(items)}

    def training_metrics(self, prediction: EvalPrediction) -> Metrics:
        """The metrics of logits[N, K]."""
        logits, actual = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
        return _metrics(np.argmax(logits, axis=-1), actual)

    def metrics(self, outputs: Outputs, targets: Sequence[Target]) -> Metrics:
        """The metrics of scores[N, K]; of equal scores the first label wins."""
        return _metrics(np.argmax(outputs[SCORES], axis=-1), np.asarray(targets))

    def serving_module(self, model: PreTrainedModel) -> nn.Module:
        """Uint8 image[B, S, S, 3] -> scores[B, K]."""
        return _Scores(model)

    def tensors(
        self, input_size: int, labels: Sequence[str]
    ) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """`image` UINT8 [S, S, 3] and `scores` FP32 [K]."""
        image = TensorSpec("image", "UINT8", (input_size, input_size, 3))
        scores = TensorSpec(SCORES, "FP32", (len(labels),), label_filename=LABELS_FILE)
        return (image,), (scores,)

    def parse_predictions(self, predictions: Sequence[Json], labels: Sequence[str]) -> Outputs:
        """scores[N, K] from N lists of {"score", "label"}."""
        rows = [_scores_by_label(prediction) for prediction in predictions]
        for row in rows:
            if set(row) != set(labels):
                raise ValueError(f"labels {sorted(row)} instead of {sorted(labels)}")
        scores = [[row[label] for label in labels] for row in rows]
        return {SCORES: np.asarray(scores, dtype=np.float32)}

    def predicted_labels(self, prediction: Json) -> tuple[str, ...]:
        """The labels of a list of {"score", "label"}."""
        return tuple(sorted(_scores_by_label(prediction)))


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
    return torch.tensor([item.target for item in items], dtype=torch.int64)


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
