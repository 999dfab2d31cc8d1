"""Metrics by scikit-learn's definitions, and V1 answers that are read or refused."""

from pathlib import Path

import numpy as np
import pytest

from contract.model_config import Json
from trainer.datasets.dataset import Sample
from trainer.tasks.classification import TASK


def test_precision_and_recall_are_not_swapped() -> None:
    """EasyMaker's guide swaps the words: 4 pictures, all called class 0, 3 of them are."""
    scores = np.array([[0.9, 0.1]] * 4, dtype=np.float32)
    metric = TASK.metric(("a", "b"))
    metric.update({"scores": scores[:3]}, [Sample(Path("x"), target) for target in (0, 0, 0)])
    other = TASK.metric(("a", "b"))
    other.update({"scores": scores[3:]}, [Sample(Path("x"), 1)])
    metric.merge(other)
    assert metric.compute() == {
        "accuracy": 0.75,
        "precision": (3 / 4 + 0) / 2,  # of the pictures called 0, three are; none is called 1
        "recall": (1 + 0) / 2,  # all of class 0 are found, none of class 1
        "f1": pytest.approx((6 / 7 + 0) / 2),
    }


def test_predictions_are_read_by_label_whatever_their_order() -> None:
    entry: Json = [{"score": 0.7, "label": "b"}, {"score": 0.3, "label": "a"}]
    outputs = TASK.parse_predictions([entry], ("a", "b"), [])
    assert outputs["scores"].tolist() == [pytest.approx([0.3, 0.7])]


@pytest.mark.parametrize(
    "entry", [{}, "a", [1], [{"score": "high", "label": "a"}], [{"score": 1.0, "label": "c"}]]
)
def test_predictions_of_another_form_are_refused(entry: Json) -> None:
    with pytest.raises(ValueError, match="instead of"):
        TASK.parse_predictions([entry], ("a", "b"), [])
