"""Detections of two runtimes in one order, for the comparison of an exported graph.

Q detections are the best of many, in the order of their scores; where two scores are equal but
for rounding, each runtime may have them the other way round, and of equals at the end either may
be the last that is kept.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]  # no stubs

from trainer.detection_metric import BOXES, LABELS, SCORES
from trainer.tasks.task import Outputs

_ROUNDING = 1e-4


def align_detections(ours: Outputs, reference: Outputs) -> Outputs:
    """`ours` in the order of `reference`; of those tied for the last place, the reference's."""
    if any(ours[name].shape != reference[name].shape for name in reference):
        return ours
    aligned = {name: ours[name].copy() for name in ours}
    for picture in range(len(ours[SCORES])):
        order = _matching(_rows(ours, picture), _rows(reference, picture))
        for name, array in aligned.items():
            array[picture] = ours[name][picture][order]
        last = reference[SCORES][picture].min() + _ROUNDING
        tied = (reference[SCORES][picture] <= last) & (aligned[SCORES][picture] <= last)
        for name, array in aligned.items():
            array[picture][tied] = reference[name][picture][tied]
    return aligned


def _rows(outputs: Outputs, picture: int) -> NDArray[np.float64]:
    """Box, score and label [Q, 6] of a picture's detections."""
    columns = [outputs[BOXES][picture], outputs[SCORES][picture, :, None]]
    return np.concatenate([*columns, outputs[LABELS][picture, :, None]], axis=1, dtype=np.float64)


def _matching(ours: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.int64]:
    """The index of ours for each row [Q, 6] of the reference, each once, at least difference."""
    difference = np.abs(reference[:, None] - ours[None]).max(axis=-1)
    chosen: NDArray[np.int64] = linear_sum_assignment(difference)[1]
    return chosen
