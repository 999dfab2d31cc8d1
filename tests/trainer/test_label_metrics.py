"""Metrics of labels beside scikit-learn's, and of several processes beside those of one."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support, top_k_accuracy_score

from trainer.datasets.dataset import Sample
from trainer.label_metrics import LabelMetric

LABELS = ("a", "b", "c", "d")
RANDOM = np.random.default_rng(0)


def several(truth: NDArray[np.bool_]) -> list[Sample]:
    return [Sample(Path("x"), tuple(np.flatnonzero(row).tolist())) for row in truth]


def test_any_number_of_labels_is_measured_as_scikit_learn_does() -> None:
    scores = RANDOM.random((50, 4), dtype=np.float32)
    truth = RANDOM.random((50, 4)) > 0.6
    whole, first, second = (LabelMetric(LABELS) for _ in range(3))
    samples = several(truth)
    whole.update({"scores": scores}, samples)
    first.update({"scores": scores[:20]}, samples[:20])
    second.update({"scores": scores[20:]}, samples[20:])
    first.merge(second)
    found = whole.compute()
    assert first.compute() == found
    predicted = scores > 0.5
    precision, recall, f1, _ = precision_recall_fscore_support(truth, predicted, average="macro")
    each = precision_recall_fscore_support(truth, predicted)
    assert found["accuracy"] == pytest.approx((predicted == truth).mean())
    assert [found[name] for name in ("precision", "recall", "f1")] == pytest.approx(
        [precision, recall, f1]
    )
    assert [found[f"f1/{label}"] for label in LABELS] == pytest.approx(each[2])
    assert [found[f"accuracy/{label}"] for label in LABELS] == pytest.approx(
        (predicted == truth).mean(axis=0)
    )


def test_label_that_is_nowhere_counts_in_no_mean_but_the_accuracys() -> None:
    metric = LabelMetric(("a", "b"))
    scores = np.array([[0.9, 0.1], [0.2, 0.1]], dtype=np.float32)
    metric.update({"scores": scores}, several(np.array([[True, False], [True, False]])))
    found = metric.compute()
    assert (found["accuracy"], found["precision"], found["recall"]) == (0.75, 1.0, 0.5)
    assert found["precision/b"] == 0


def test_top_k_accuracy_is_scikit_learns() -> None:
    scores = RANDOM.random((40, 4), dtype=np.float32)
    actual = RANDOM.integers(0, 4, 40)
    metric = LabelMetric(LABELS, top_k=2)
    metric.update({"scores": scores}, [Sample(Path("x"), int(label)) for label in actual])
    expected = top_k_accuracy_score(actual, scores, k=2, labels=range(4))
    assert metric.compute()["top_k_accuracy_2"] == pytest.approx(expected)


def test_more_than_there_are_labels_always_hold_the_right_one() -> None:
    metric = LabelMetric(("a", "b"), top_k=5)
    scores = np.array([[0.9, 0.1], [0.2, 0.8]], dtype=np.float32)
    metric.update({"scores": scores}, [Sample(Path("x"), 1), Sample(Path("x"), 0)])
    assert metric.compute()["top_k_accuracy_5"] == 1
