"""The largest training batch that fits a GPU's memory, found by trying.

One step of training is done at 1, 2, 4, ... pictures until the memory ends: seconds, once a run.
"""

from collections.abc import Callable
from typing import Final

import torch
from transformers import PreTrainedModel

from trainer.tasks.task import Batch

CPU_BATCH_SIZE: Final = 4  # a CPU is busy with one picture; more only take memory
LARGEST: Final = 1024


def largest_batch(step: Callable[[int], None], most: int = LARGEST) -> int:
    """The largest power of two up to `most` at which `step` does not end the memory; at least 1."""
    size = 1
    while size < most and _fits(step, 2 * size):
        size *= 2
    return size


def training_step(
    model: PreTrainedModel, make_batch: Callable[[int], Batch], precision: torch.dtype
) -> Callable[[int], None]:
    """A step of AdamW with a batch of a given number of pictures, for its memory alone."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)

    def step(size: int) -> None:
        inexact = precision != torch.float32
        with torch.autocast(model.device.type, dtype=precision, enabled=inexact):
            loss = model(**make_batch(size)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _fits(step: Callable[[int], None], size: int) -> bool:
    try:
        step(size)
    except torch.OutOfMemoryError:
        return False
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return True
