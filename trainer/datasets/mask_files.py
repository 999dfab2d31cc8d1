"""The masks of a dataset, each read once: what is wrong with them, and which values they hold.

Each is read in a thread: Pillow releases the GIL.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from contract.hardware import available_cpus
from trainer.datasets.dataset import Problem, Sample
from trainer.masks import BadMask, MaskFile, check_mask, read_mask


def bad_masks(splits: Mapping[str, Sequence[Sample]], labels: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with masks: that they do not fit their pictures or the labels, or are none."""
    masks = {
        sample.target: sample.path
        for samples in splits.values()
        for sample in samples
        if isinstance(sample.target, MaskFile)
    }
    with ThreadPoolExecutor(available_cpus()) as pool:
        reasons = pool.map(partial(check_mask, labels=labels), masks.values(), masks)
        for mask, reason in zip(masks, reasons, strict=True):
            if reason is not None:
                yield Problem(mask.path, reason)


def values_of(masks: Sequence[MaskFile]) -> list[frozenset[int]]:
    """The values of the pixels of each mask, as they are written; none of one that is unreadable."""
    with ThreadPoolExecutor(available_cpus()) as pool:
        return list(pool.map(_values_of, masks))


def _values_of(mask: MaskFile) -> frozenset[int]:
    try:
        return frozenset(np.unique(read_mask(mask.path.read_bytes())).tolist())
    except (BadMask, OSError):  # bad_masks, or the scan, says so
        return frozenset()
