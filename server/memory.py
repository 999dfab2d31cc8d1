"""Memory that unloaded models leave behind."""

import ctypes


def give_back() -> None:
    """Give the allocator's free memory back to the system; blocks for milliseconds.

    glibc keeps what was freed for later; without this a server that unloads a model stays as
    large as with it (triton-inference-server/server#3320). Other C libraries have no such call.

    Source: https://man7.org/linux/man-pages/man3/malloc_trim.3.html
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
