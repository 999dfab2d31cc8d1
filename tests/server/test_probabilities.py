import numpy as np
import pytest
import torch
from torch.nn import functional

from server.probabilities import fill_probabilities


@pytest.mark.parametrize(
    "size", [(16, 16), (64, 64), (37, 91), (400, 300)], ids=lambda size: "x".join(map(str, size))
)
def test_probabilities_are_torchs_softmax_of_enlarged_logits(size: tuple[int, int]) -> None:
    logits = np.random.default_rng(0).normal(0, 3, (5, 16, 16)).astype(np.float32)
    probabilities = np.zeros((5, *size), np.float32)
    fill_probabilities(logits, probabilities)
    enlarged = functional.interpolate(
        torch.from_numpy(logits)[None].double(), size, mode="bilinear", align_corners=False
    )
    expected = enlarged.softmax(dim=1)[0].numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_a_smaller_picture_has_the_logits_averaged() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (3, 16, 16)).astype(np.float32)
    probabilities = np.zeros((3, 4, 4), np.float32)
    fill_probabilities(logits, probabilities)
    smaller = functional.interpolate(
        torch.from_numpy(logits)[None],
        (4, 4),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    np.testing.assert_allclose(probabilities, smaller.softmax(dim=1)[0].numpy(), atol=1e-5)


def test_large_logits_do_not_overflow() -> None:
    logits = np.array([[[1e4]], [[-1e4]]], np.float32)
    probabilities = np.zeros((2, 3, 3), np.float32)
    fill_probabilities(logits, probabilities)
    assert probabilities[0].tolist() == [[1] * 3] * 3
