"""output/failure: why a job failed, in one line first, which is what SageMaker shows.

`ClientError` begins what the job's owner can put right, `AlgorithmError` what not, as in SageMaker's
own algorithms, and `Stopped` what is no failure: a job that was told to end. The lines below the
first hold every problem, and a traceback where there is one.
"""

import errno
import logging
import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from contract.errors import ConfigError, ContractError, OptionsError, RepositoryError
from trainer.errors import (
    ArchiveError,
    BadImages,
    CheckpointError,
    DatasetError,
    Diverged,
    RunBusy,
    Stopped,
    TrainerError,
    WeightsUnavailable,
)
from trainer.sagemaker.folders import Folders

SHOWN: Final = 1024
"""Characters of the file that SageMaker shows."""

_OWNERS: Final = (
    ArchiveError,
    BadImages,
    CheckpointError,
    ConfigError,  # labels that cannot be written
    DatasetError,
    Diverged,
    RepositoryError,  # a folder or bucket that refuses
    RunBusy,
    WeightsUnavailable,
)
_REFUSED: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
_WORDS: Final = {
    "learning_rate": "learning_rate",
    "output_dir": "checkpoint folder",
    "restart": "APERTURE_RESTART=true",
    "skip_bad_images": "APERTURE_SKIP_BAD_IMAGES=true",
}
_FLAG: Final = re.compile(rf"--({'|'.join(_WORDS)})\b")
_CUT: Final = "..."

logger = logging.getLogger(__name__)


@contextmanager
def outcome(folders: Folders) -> Iterator[None]:
    """Leave output/failure where the block ends with an error, else output/success.

    Neither is written where there is no container: no folder for it to lie in. Where the folder
    cannot be written the log says so, and the block's own error stays what it is.
    """
    with _said():
        for path in (folders.failure, folders.success):
            path.unlink(missing_ok=True)
    try:
        yield
    except OptionsError as err:
        write_failure(folders, "ClientError", err.problems)
        raise
    except TrainerError as err:  # what to do comes first: the line of many faults is cut
        write_failure(folders, _kind(err), [*([err.advice] if err.advice else []), *err.faults])
        raise
    except ContractError as err:
        write_failure(folders, _kind(err), str(err).splitlines())
        raise
    except (Stopped, KeyboardInterrupt):
        where = f"asked to end; the same job goes on with what is in {folders.checkpoints}"
        write_failure(folders, "Stopped", [where])
        raise
    except Exception as err:  # whatever it is: this file is all that the job's owner is shown
        problem = f"{type(err).__name__}: {' '.join(str(err).split())}"
        write_failure(folders, _kind(err), [problem], traceback.format_exc())
        raise
    if folders.base.is_dir():
        with _said():
            folders.success.parent.mkdir(parents=True, exist_ok=True)
            folders.failure.unlink(missing_ok=True)  # of another that was refused meanwhile
            folders.success.touch()


def write_failure(folders: Folders, kind: str, problems: Sequence[str], details: str = "") -> None:
    """Write why a job failed, where there is a container."""
    if not folders.base.is_dir():
        return
    problems = [_without_flags(problem) for problem in problems]
    lines = [first_line(kind, problems), *(problems if len(problems) > 1 else ()), details]
    text = "".join(f"{line}\n" for line in lines if line)
    with _said():
        folders.failure.parent.mkdir(parents=True, exist_ok=True)
        folders.failure.write_text(text, encoding="utf-8", errors="backslashreplace")


def first_line(kind: str, problems: Sequence[str]) -> str:
    """The kind and the problems, in one line of up to SHOWN characters."""
    line = f"{kind}: {'; '.join(problems)}".replace("\n", " ")
    return line if len(line) <= SHOWN else line[: SHOWN - len(_CUT)] + _CUT


@contextmanager
def _said() -> Iterator[None]:
    """Say in the log what the disk refuses, and go on."""
    try:
        yield
    except OSError as err:
        logger.error("event=no_word_left reason=%s", err)  # noqa: TRY400 - no traceback of interest


def _kind(err: Exception) -> str:
    if isinstance(err, OSError):
        is_owners = err.errno in _REFUSED
    else:
        is_owners = isinstance(err, _OWNERS) or getattr(err, "exit_code", None) == 2
    return "ClientError" if is_owners else "AlgorithmError"


def _without_flags(line: str) -> str:
    """A line in which a job's own words stand for flags, which SageMaker passes none of."""
    return _FLAG.sub(lambda flag: _WORDS[flag[1]], line)
