"""A former run's folder -> where a new run begins.

The same training goes on from its checkpoints; any other one starts with the weights that it
publishes, its newest or its best. What a training is, is said by the identity in run.json.
"""

import logging
import shutil
from pathlib import Path

from trainer.checkpoints import checkpoint_folders, chosen_of
from trainer.errors import CheckpointError
from trainer.run_record import RUN_FILE, RunRecord, read_record

logger = logging.getLogger(__name__)


def starting_weights(former: Path | None, new: RunRecord) -> Path | None:
    """The former run's checkpoint that a run starts with.

    None where there is no former run, or where it is the same one and is gone on with.

    Raises:
        CheckpointError: The former run's folder holds no whole checkpoint, or no readable record.
    """
    if former is None:
        return None
    chosen = chosen_of(former)
    if chosen is None:
        raise CheckpointError(former, "holds no whole checkpoint-N to go on from")
    record = read_record(former)
    return None if record is not None and record.identity == new.identity else chosen


def take_over(former: Path, run_dir: Path) -> None:
    """Copy a former run's checkpoints and records, where the run's folder has none of its own."""
    if checkpoint_folders(run_dir) or (run_dir / RUN_FILE).is_file():
        return
    run_dir.mkdir(parents=True, exist_ok=True)
    for path in (*checkpoint_folders(former), *former.glob("*.json")):
        if path.is_dir():
            shutil.copytree(path, run_dir / path.name)
        else:
            shutil.copy2(path, run_dir / path.name)
    logger.info("event=take_over from=%s to=%s", former, run_dir)
