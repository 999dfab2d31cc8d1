"""Scores and true labels -> metrics of image classification.

EasyMaker's guide swaps the words for precision and recall. Here they are scikit-learn's, averaged
over the labels ("macro"): precision is the part of the pictures predicted as a label that are of
it, recall the part of the pictures of a label that are predicted as it. F1 is the mean over the
labels of their own F1, not the harmonic mean of the two averages. A label that neither occurs
nor is predicted counts in none of them; a ratio over nothing is 0.

Of pictures with any number of labels, a label is predicted where its score is above a half. The
accuracy is the mean over the labels of the part of the pictures that each is right of, as
SageMaker logs it.
"""

from collections.abc import Sequence
from typing import Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from trainer.datasets.dataset import Sample
from trainer.report import CLASS_SEPARATOR
from trainer.tasks.task import Metrics, Outputs

Indices: TypeAlias = tuple[int, ...]

SCORES: Final = "scores"
HALF: Final = 0.5


class LabelMetric:
    """The metrics of pictures that have one label each, or any number, as their targets say."""

    def __init__(self, labels: Sequence[str], top_k: int = 0) -> None:
        self._one = _OneLabel(top_k)
        self._any = _AnyLabels(labels)

    def update(self, outputs: Outputs, samples: Sequence[Sample]) -> None:
        """Take in scores[B, K] of pictures that all have one label, or all any number."""
        scores = outputs[SCORES]
        if isinstance(samples[0].target, tuple):
            self._any.update(scores, [indices_of(sample) for sample in samples])
        else:
            self._one.update(scores, [index_of(sample) for sample in samples])

    def merge(self, other: Self) -> None:
        """Take in what another process has gathered."""
        self._one.merge(other._one)
        self._any.merge(other._any)

    def compute(self) -> Metrics:
        """Accuracy, and macro precision, recall and F1; of any number of labels each one's, too."""
        return self._any.compute() if self._any.pictures else self._one.compute()


def index_of(sample: Sample) -> int:
    """The label of a picture that has one."""
    assert isinstance(sample.target, int)  # noqa: S101 - what the readers put there
    return sample.target


def indices_of(sample: Sample) -> Indices:
    """The labels of a picture that has any number."""
    assert isinstance(sample.target, tuple)  # noqa: S101 - as above
    return sample.target


class _OneLabel:
    """Predicted and actual labels, two integers a picture."""

    def __init__(self, top_k: int) -> None:
        self._top_k = top_k
        self._in_top_k = 0
        self._predicted: list[int] = []
        self._actual: list[int] = []

    def update(self, scores: NDArray[np.float32], actual: list[int]) -> None:
        """Take in scores[B, K]; of equal scores the first label wins."""
        self._predicted += np.argmax(scores, axis=-1).tolist()
        self._actual += actual
        best = np.argsort(-scores, axis=-1, kind="stable")[:, : self._top_k]
        self._in_top_k += int((best == np.asarray(actual)[:, None]).any(axis=-1).sum())

    def merge(self, other: Self) -> None:
        self._predicted += other._predicted
        self._actual += other._actual
        self._in_top_k += other._in_top_k

    def compute(self) -> Metrics:
        predicted, actual = np.asarray(self._predicted), np.asarray(self._actual)
        precision, recall, f1, _ = precision_recall_fscore_support(
            actual, predicted, average="macro", zero_division=0.0
        )
        top_k = {f"top_k_accuracy_{self._top_k}": self._in_top_k / len(actual)}
        return {
            "accuracy": float(accuracy_score(actual, predicted)),
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            **(top_k if self._top_k else {}),
        }


class _AnyLabels:
    """How often each label was predicted, was there, and both; three integers a label."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.pictures = 0
        self._labels = labels
        self._predicted, self._actual, self._both = np.zeros((3, len(labels)), np.int64)

    def update(self, scores: NDArray[np.float32], actual: list[Indices]) -> None:
        """Take in scores[B, K]."""
        predicted = scores > HALF
        truth = np.zeros_like(predicted)
        for row, indices in zip(truth, actual, strict=True):
            row[list(indices)] = True
        self.pictures += len(actual)
        self._predicted += predicted.sum(axis=0)
        self._actual += truth.sum(axis=0)
        self._both += (predicted & truth).sum(axis=0)

    def merge(self, other: Self) -> None:
        self.pictures += other.pictures
        self._predicted += other._predicted
        self._actual += other._actual
        self._both += other._both

    def compute(self) -> Metrics:
        wrong = self._predicted + self._actual - 2 * self._both
        each = {
            "accuracy": 1 - wrong / self.pictures,
            "precision": _ratio(self._both, self._predicted),
            "recall": _ratio(self._both, self._actual),
            "f1": _ratio(2 * self._both, self._predicted + self._actual),
        }
        seen = self._predicted + self._actual > 0
        means = {
            name: float(values.mean() if name == "accuracy" else _mean(values[seen]))
            for name, values in each.items()
        }
        return means | {
            f"{name}{CLASS_SEPARATOR}{label}": float(value)
            for name, values in each.items()
            for label, value in zip(self._labels, values, strict=True)
        }


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Part / whole, and 0 over nothing."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0
