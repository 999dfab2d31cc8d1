"""What makes the many small trainings of the tests quick, and changes nothing that they compute."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch.onnx._internal.exporter._registration import ONNXRegistry


@contextmanager
def quick_trainings() -> Iterator[None]:
    """One thread for each process, and one collection of the operators that torch can export.

    A tiny model gains nothing from a second core, and waits for it where the machine is busy; and
    each export collects the operators anew, which is a quarter of an export of a tiny model.
    """
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        collect = staticmethod(functools.cache(ONNXRegistry.from_torchlib))
        patch.setattr(ONNXRegistry, "from_torchlib", collect)
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)
