"""This host's processes of a training, started by torchrun, told of signals, and waited for.

The process that starts them is the container's first one: it reads the options, and does nothing
else while they run. What each failed with, its first process leaves in the workspace, because
torchrun ends with status 1 whatever a process ended with.
"""

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

STATUS_FILE: Final = "status"

NO_MEETING: Final = 3
"""torchrun's exit status where the hosts did not meet; its own are 1 and those of signals."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the processes of a host ended.

    Attributes:
        status: torchrun's exit status.
        was_told: Whether a signal told them to.
    """

    status: int
    was_told: bool


def run_processes(command: Sequence[str], environ: Mapping[str, str]) -> Ended:
    """Run a command to its end, and pass on to it what this process is told."""
    told: list[int] = []
    process = subprocess.Popen(command, env=environ)  # noqa: S603  # this process's own arguments
    with _passed_on(process, told):
        status = process.wait()
    return Ended(status, bool(told))


def leave_status(workspace: Path, status: int | None) -> None:
    """Say what this host's first process ends with; None takes back what one said before."""
    path = workspace / STATUS_FILE
    if status is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(str(status), encoding="ascii")


def left_status(workspace: Path) -> int | None:
    """What this host's first process said that it ends with, if it came to that."""
    path = workspace / STATUS_FILE
    return int(path.read_text(encoding="ascii")) if path.is_file() else None


@contextmanager
def _passed_on(process: "subprocess.Popen[bytes]", told: list[int]) -> Iterator[None]:
    def pass_on(number: int, _: FrameType | None) -> None:
        told.append(number)
        process.send_signal(number)

    former = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
