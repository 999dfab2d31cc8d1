"""The number of objects that DETR's loss is divided by, where several processes train.

transformers 5.23 takes the mean over the processes and divides it by their number once more, so that
boxes weigh as many times too much as there are processes (loss/loss_for_object_detection.py,
ImageLoss.forward); and it asks all processes for it in an evaluation too, where their shares may differ
in batches and one would wait for another for ever. RT-DETR's and D-FINE's losses ask nobody.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor
from transformers.loss import loss_for_object_detection

_LOSS: Final[Any] = loss_for_object_detection  # whose `reduce` is no part of its interface


@contextmanager
def objects_counted(*, training: bool) -> Iterator[None]:
    """Divide by the objects of a process: trained, their mean; evaluated, this process's own."""
    original = _LOSS.reduce
    _LOSS.reduce = _sum if training else _own
    try:
        yield
    finally:
        _LOSS.reduce = original


def _sum(count: Tensor) -> Tensor:
    """The sum over the processes of count[1], which transformers divides by their number."""
    total: Tensor = reduce(count, reduction="sum")
    return total


def _own(count: Tensor) -> Tensor:
    """This process's count[1], times the number of processes that transformers divides by."""
    own: Tensor = count * PartialState().num_processes
    return own
