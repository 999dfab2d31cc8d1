"""`aperture-serve` and `python -m server`: how to end is known before anything else is imported.

A server that is told to end has done so with status 0, whether or not it served by then. The handlers
of the event loop take over from these, once the ports are about to be listened on.
"""

import signal

from contract.early_end import end_at_once


def main() -> None:
    """Run the command line."""
    for number in (signal.SIGTERM, signal.SIGINT):
        end_at_once(number, 0)
    from server import cli  # noqa: PLC0415 - after the handlers, which is what this file is for

    cli.main()


if __name__ == "__main__":
    main()
