"""`aperture-train` and `python -m trainer`: how to end is known before anything else is imported.

SIGTERM does not end a container's first process that has no handler for it, and what cli.py imports
takes tenths of a second: a job that is stopped so early would go on until SIGKILL. Nothing is on the
disk by then, so the process just ends; cli.py's own handler takes over from this one.
"""

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _end)
    from trainer import cli  # noqa: PLC0415 - after the handler, which is what this file is for

    cli.main()


def _end(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)


if __name__ == "__main__":
    main()
