"""How many threads a training on a CPU computes in: one, where the model and its pictures are small.

An operation that takes some microseconds gains nothing from a second thread, and both have to be
running before either can go on: beside other work on the machine each waits for the other's turn.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import nn

from trainer.pixel_size import PixelSize, sides

SMALL_WORK: Final = 6_000_000_000  # weights times pixels: 1 million weights at 77 x 77


def is_small(model: nn.Module, input_size: PixelSize) -> bool:
    """Whether a step of `model` at `input_size` pixels is too short for several threads."""
    weights = sum(parameter.numel() for parameter in model.parameters())
    return weights * math.prod(sides(input_size)) <= SMALL_WORK


@contextmanager
def fitting_threads(model: nn.Module, input_size: PixelSize) -> Iterator[None]:
    """Compute in one thread if the work is small, else in as many as there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if is_small(model, input_size) else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
