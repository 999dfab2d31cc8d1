"""run.json: what a run's output folder belongs to and how far it came.

The same command finds its run again by it: it resumes a broken run, and does nothing where the
run has been published. Another command, or another dataset, is told apart and refused.
"""

import errno
import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from pydantic import BaseModel, ConfigDict, ValidationError

from contract.locations import Location
from trainer.checkpoints import checkpoint_folders
from trainer.differences import differences
from trainer.errors import CheckpointError, RunBusy, RunConflict, RunUnwritable
from trainer.files import replace_text
from trainer.hyperparameters import Hyperparameters
from trainer.publishing import PublishedVersion, is_published
from trainer.report import METRICS_FILE, PRECISIONS_FILE
from trainer.settings import FitSettings

RUN_FILE: Final = "run.json"
LOCK_FILE: Final = ".lock"
STARTED_FROM: Final = "started_from"

_WITHOUT_INFLUENCE: Final = {"dataloader_num_workers"}
_REFUSED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)


class RunRecord(BaseModel):
    """A run's identity, and its published version once there is one.

    Attributes:
        identity: All that its weights depend on.
        batch_size: The training batch, where the largest that fits was asked for and found.
        published: The version made of it.
    """

    model_config = ConfigDict(frozen=True)

    identity: dict[str, str]
    batch_size: int = 0
    published: PublishedVersion | None = None

    def published_in(self, model_dir: Location) -> PublishedVersion | None:
        """The published version, if it is there still and one of that model."""
        version = self.published
        if version is None or version.model_dir != model_dir or not is_published(version):
            return None
        return version


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Keep the run's folder to this process; the system gives it free when the process ends.

    Raises:
        RunBusy: Another process holds it.
        RunUnwritable: This user may not make it or write to it.
    """
    with _open_lock(run_dir) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise RunBusy(run_dir) from err
        yield


def _open_lock(run_dir: Path) -> TextIO:
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        return (run_dir / LOCK_FILE).open("w")
    except OSError as err:
        if err.errno not in _REFUSED:  # such as a disk that is full, or answers the next time
            raise
        raise RunUnwritable(run_dir, err.strerror or str(err)) from err


def refuse_foreign(run_dir: Path) -> None:
    """Refuse a folder with checkpoints of another program, which would be taken for our own.

    Raises:
        CheckpointError: There are checkpoint-N folders, but no record of a run.
    """
    if checkpoint_folders(run_dir) and not (run_dir / RUN_FILE).is_file():
        raise CheckpointError(
            run_dir, f"holds checkpoint-N folders, but no {RUN_FILE}; give another --output_dir"
        )


def new_record(
    settings: FitSettings,
    asked: Hyperparameters,
    settled: Hyperparameters,
    dataset_sha256: str,
    processes: int,
) -> RunRecord:
    """The record of a run that begins.

    Where it publishes to is no part of its identity: the same training may be published anew.
    """
    return RunRecord(
        identity={
            "task": settings.task,
            **{
                name: str(value)
                for name, value in asked.model_dump(exclude=_WITHOUT_INFLUENCE).items()
            },
            "dataset_sha256": dataset_sha256,
            "processes": str(processes),
        },
        batch_size=settled.per_device_train_batch_size,
    )


def started_from(record: RunRecord, weights: str) -> RunRecord:
    """The record of the same run, but for the weights that it starts with: their place or hash."""
    identity = {**record.identity, STARTED_FROM: weights}
    return record.model_copy(update={"identity": identity})


def continue_record(run_dir: Path, new: RunRecord) -> RunRecord:
    """The present record of the run that `new` describes, or `new` where there is none.

    Raises:
        RunConflict: The folder belongs to another run.
        CheckpointError: Its record cannot be read.
    """
    present = read_record(run_dir)
    if present is None:
        return new
    if conflicts := differences(present.identity, new.identity):
        raise RunConflict(run_dir, conflicts)
    return present


def read_record(run_dir: Path) -> RunRecord | None:
    """The record in a run's folder, or None where there is none.

    Raises:
        CheckpointError: It cannot be read.
    """
    path = run_dir / RUN_FILE
    if not path.is_file():
        return None
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as err:
        raise CheckpointError(run_dir, f"{RUN_FILE} cannot be read; train with --restart") from err


def write_record(run_dir: Path, record: RunRecord) -> None:
    """Write run.json so that a reader sees the old or the new one."""
    replace_text(run_dir / RUN_FILE, record.model_dump_json(indent=2) + "\n")


def clear_run(run_dir: Path, event_dir: Path) -> None:
    """Delete what a former run left in its folders, and nothing else."""
    for name in (RUN_FILE, METRICS_FILE, PRECISIONS_FILE):
        (run_dir / name).unlink(missing_ok=True)
    for folder in (*checkpoint_folders(run_dir), event_dir):
        shutil.rmtree(folder, ignore_errors=True)
