"""What the C library's allocator keeps of the memory that was freed.

Other C libraries than glibc have none of these calls; nothing is done then.

Source: https://man7.org/linux/man-pages/man3/mallopt.3.html and malloc_trim.3.html
"""

import ctypes
from collections.abc import Mapping
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3

_VARIABLES: Final = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
_MOST: Final = 2**31 - 1  # mallopt takes an int


def keep_buffers(largest_body: int, environ: Mapping[str, str]) -> None:
    """Let buffers as large as the largest body be kept for the next one.

    glibc asks the system for each buffer of more than 32 MiB and gives it back when it is freed.
    gRPC copies a message three times while it holds the interpreter, and to have the pages of 60 MB
    made anew each time takes longer than health may. The main arena keeps up to four such bodies,
    and that of another thread up to its heap's 64 MiB.

    Args:
        largest_body: In bytes.
        environ: The environment, whose settings of the allocator are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or any(variable in environ for variable in _VARIABLES):
        return
    # A growing buffer is larger than what it is for. A glibc that has a limit of 32 MiB refuses the
    # first; with the second alone it would keep less than without either.
    if mallopt(_MMAP_THRESHOLD, min(2 * largest_body, _MOST)):
        mallopt(_TRIM_THRESHOLD, min(4 * largest_body, _MOST))


def give_back() -> None:
    """Give the allocator's free memory back to the system; blocks for milliseconds.

    Without this a server that unloads a model stays as large as with it
    (triton-inference-server/server#3320).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
