"""A dataset as it was read -> what can be trained on, and a report of the rest.

Every picture is scanned; those that are none are listed in the run's folder, and end the run unless
they are to be skipped. Then a split without pictures, or what the task finds, ends it.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from trainer.datasets.dataset import TRAIN, VALIDATION, Dataset, Problem
from trainer.errors import BadImages, DatasetError
from trainer.processes import Processes
from trainer.scan import Scan, scan_pictures
from trainer.settings import FitSettings
from trainer.tasks.task import Task

BAD_IMAGES_FILE: Final = "bad_images.txt"

_FEWEST: Final = {TRAIN: 2, VALIDATION: 1}
"""Usable pictures of a split: batch normalisation cannot learn from one."""

logger = logging.getLogger(__name__)


def screen(task: Task, dataset: Dataset, settings: FitSettings, processes: Processes) -> Scan:
    """Scan the pictures; the dataset of the usable ones.

    Raises:
        BadImages: Some are not usable, and they are not to be skipped.
        DatasetError: What is left cannot be trained or evaluated on.
    """
    scan = scan_pictures(dataset, processes)
    if scan.problems:
        _report_bad(scan.problems, dataset.root, settings, processes)
    for warning in scan.dataset.warnings:
        logger.warning("event=odd_dataset %s", warning)
    _check_usable(task, scan.dataset)
    return scan


def _report_bad(
    problems: Sequence[Problem], root: Path, settings: FitSettings, processes: Processes
) -> None:
    lines = [str(problem) for problem in problems]
    if not isinstance(settings.data, Path):  # the user knows nothing of the bucket's local copy
        lines = [line.replace(str(root), str(settings.data)) for line in lines]
    full_list = settings.run_dir / BAD_IMAGES_FILE
    if processes.is_main:
        settings.run_dir.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{line}\n" for line in lines)
        full_list.write_text(text, encoding="utf-8", errors="backslashreplace")
    if not settings.skip_bad_images:
        raise BadImages(lines, full_list)
    logger.warning("event=skipped_bad_images count=%d list=%s", len(lines), full_list)


def _check_usable(task: Task, dataset: Dataset) -> None:
    """Refuse what cannot be trained or evaluated on after the bad pictures are gone.

    Raises:
        DatasetError: A split without enough pictures, or what the task finds.
    """
    faults = [
        f"{dataset.folder_of(split)}: holds {count or 'no'} usable picture"
        + (f", expected at least {fewest}" if count else "")
        for split, fewest in _FEWEST.items()
        if (count := len(dataset.splits[split])) < fewest
    ] or task.faults(dataset)
    if faults:
        raise DatasetError(*faults)
