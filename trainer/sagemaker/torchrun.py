"""torchrun without the tracebacks of its own end: python -m trainer.sagemaker.torchrun.

Why they ended, its processes have said themselves, and the one that started it says whether one of
them could not.
"""

import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main


def run() -> None:
    """Start the processes of the command line and wait for them.

    Raises:
        SystemExit: One of them failed, or torchrun was told to end: a shell's status for that.
    """
    try:
        main()
    except SignalException as err:
        sys.exit(128 + err.sigval)
    except ChildFailedError:
        sys.exit(1)


if __name__ == "__main__":
    run()
