"""`aperture-train` and `python -m trainer`: how to end is known before anything else is imported.

cli.py's own handler of SIGTERM takes over from this one, and Python's of Ctrl-C, which cli.py
understands.
"""

import signal

from contract.early_end import end_at_once


def main() -> None:
    """Run the command line."""
    for number in (signal.SIGTERM, signal.SIGINT):
        end_at_once(number, 128 + number)
    from trainer import cli  # noqa: PLC0415 - after the handlers, which is what this file is for

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
