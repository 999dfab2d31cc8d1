"""Two runtimes' detections are compared whatever the order of equals; a real difference stays."""

import numpy as np

from trainer.detection_align import align_detections
from trainer.tasks.task import Outputs


def detections() -> Outputs:
    """Three pictures of eight detections, best first, well apart."""
    rng = np.random.default_rng(0)
    return {
        "boxes": rng.random((3, 8, 4), np.float32),
        "scores": np.sort(rng.random((3, 8), np.float32), axis=1)[:, ::-1].copy(),
        "labels": rng.integers(0, 5, (3, 8), np.int32),
    }


def test_other_order_is_undone() -> None:
    reference = detections()
    order = np.random.default_rng(1).permutation(8)
    aligned = align_detections(
        {name: part[:, order] for name, part in reference.items()}, reference
    )
    for name, part in reference.items():
        np.testing.assert_array_equal(aligned[name], part)


def test_of_equals_at_the_end_either_may_be_kept() -> None:
    reference, ours = detections(), detections()
    ours["scores"][1, 7] += 1e-6
    ours["boxes"][1, 7] = 0.5
    ours["labels"][1, 7] += 1
    aligned = align_detections(ours, reference)
    for name, part in reference.items():
        np.testing.assert_array_equal(aligned[name], part)


def test_difference_of_a_better_detection_stays() -> None:
    reference, ours = detections(), detections()
    ours["boxes"][2, 3, 1] += 0.01
    aligned = align_detections(ours, reference)
    assert np.abs(aligned["boxes"] - reference["boxes"]).max() > 0.009


def test_other_shape_stays() -> None:
    ours = {name: part[:, :5] for name, part in detections().items()}
    assert align_detections(ours, detections())["scores"].shape == (3, 5)
