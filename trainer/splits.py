"""One split of a dataset folder for a model that exists: its usable samples."""

from collections.abc import Sequence
from pathlib import Path

from trainer.datasets.dataset import Sample
from trainer.errors import BadImages, DatasetError
from trainer.processes import ALONE
from trainer.scan import scan_pictures
from trainer.tasks.task import Task


def read_samples(
    task: Task, data: Path, split: str, labels: Sequence[str], *, skip_bad_images: bool
) -> list[Sample]:
    """The samples of DATA/SPLIT, each of whose pictures was decoded once.

    Raises:
        BadImages: Some cannot be, and are not to be skipped.
        DatasetError: The folder is none of the task, or no picture is left.
    """
    scan = scan_pictures(task.read_split(data, split, labels), ALONE)
    if scan.problems and not skip_bad_images:
        raise BadImages([str(problem) for problem in scan.problems], None)
    if not scan.dataset.samples:
        raise DatasetError(f"{data / split}: holds no usable picture")
    return scan.dataset.samples
