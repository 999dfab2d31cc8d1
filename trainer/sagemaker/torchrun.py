"""torchrun without the tracebacks of its own end: python -m trainer.sagemaker.torchrun.

Why they ended, its processes have said themselves; the one that started it says whether one of them
could not, or whether none was started because the hosts did not meet.
"""

import sys

from torch.distributed import DistNetworkError, DistStoreError
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

from trainer.sagemaker.launch import NO_MEETING


def run() -> None:
    """Start the processes of the command line and wait for them.

    Raises:
        SystemExit: One of them failed, torchrun was told to end, which is a shell's status, or the
            hosts did not meet, which is NO_MEETING.
    """
    try:
        main()
    except SignalException as err:
        sys.exit(128 + err.sigval)
    except ChildFailedError:
        sys.exit(1)
    except (DistNetworkError, DistStoreError) as err:
        # Only the meeting: of the processes' own stores, ChildFailedError is what comes here.
        reason, _, _ = str(err).partition("\n")
        sys.stderr.write(f"event=no_rendezvous reason={reason!r}\n")
        sys.exit(NO_MEETING)


if __name__ == "__main__":
    run()
