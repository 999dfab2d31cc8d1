"""What kornia draws, decided by numbers alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: Sequence[int]) -> Iterator[None]:
    """Let what kornia draws in the block depend on `seed` alone, and nothing behind it on the block."""
    with torch.random.fork_rng(devices=[]):
        # kornia draws from torch's CPU generator; torch.manual_seed would reset the GPU's too.
        torch.default_generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        yield
