"""A dataset as every reader returns it: samples by split, and the files that are none."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"

Target: TypeAlias = int  # the class index; a task with richer targets widens this union


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture file and what it shows."""

    path: Path
    target: Target


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that cannot be used, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset on disk.

    Attributes:
        root: The dataset's folder.
        labels: The class names in index order.
        splits: Samples of each split, in a stable order.
        problems: Files that are no pictures, found without opening any.
        warnings: What is odd but usable, one line each.
    """

    root: Path
    labels: tuple[str, ...]
    splits: Mapping[str, tuple[Sample, ...]]
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def samples(self) -> list[Sample]:
        """The samples of all splits."""
        return [sample for samples in self.splits.values() for sample in samples]

    def without(self, paths: Collection[Path]) -> "Dataset":
        """A copy that lacks the samples of `paths`."""
        kept = {
            split: tuple(sample for sample in samples if sample.path not in paths)
            for split, samples in self.splits.items()
        }
        return replace(self, splits=kept)
