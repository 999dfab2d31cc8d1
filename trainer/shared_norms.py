"""Batch norms over the pictures of all processes, where each has a few of a step's.

A process of its own normalises by the mean of its pictures alone; a segmenter's are large, so few
fit a GPU. The price is an exchange at each norm, there and back.
"""

import logging
from typing import Final

from torch import nn

from trainer.hardware import Hardware
from trainer.hyperparameters import Hyperparameters
from trainer.segmentation_hyperparameters import SegmentationHyperparameters

_ON_A_CPU: Final = "torch's synchronised norms are for GPUs"
_ALONE: Final = "there is one process"

logger = logging.getLogger(__name__)


def share_norms(
    model: nn.Module, wanted: Hyperparameters, hardware: Hardware, processes: int
) -> None:
    """Replace the batch norms inside a model, weights and all, where that is wanted and possible."""
    if not isinstance(wanted, SegmentationHyperparameters) or not wanted.syncbn:
        return
    if reason := without_effect(hardware, processes):
        logger.warning("event=syncbn_without_effect reason=%r", reason)
        return
    nn.SyncBatchNorm.convert_sync_batchnorm(model)


def without_effect(hardware: Hardware, processes: int) -> str:
    """Why shared norms are those of a process, or nothing where they are not."""
    if hardware.device != "cuda":
        return _ON_A_CPU
    return _ALONE if processes == 1 else ""
