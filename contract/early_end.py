"""How a command ends that is told to while it is still being imported: at once, without a word.

SIGTERM does not end a container's first process that has no handler for it, and the imports take
tenths of a second, in which Python's own answer to Ctrl-C is a traceback. Nothing is begun by then,
so nothing is to be put in order. Imports nothing that takes time, because it must come first.
"""

import os
import signal


def end_at_once(number: int, status: int) -> None:
    """From now on the signal ends the process with `status`, unless it is ignored here.

    A shell's script has what it runs in the background ignore Ctrl-C.
    """
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, lambda *_: os._exit(status))
