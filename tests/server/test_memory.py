"""What the allocator keeps, in a process of its own, as its settings hold for the whole of one."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os
from server.memory import give_back, keep_buffers

class Information(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
        "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Information

keep_buffers(64 * 2**20, os.environ)
before = libc.mallinfo2()
message = bytes(60_000_000)
print(libc.mallinfo2().hblkhd - before.hblkhd)
del message
print(libc.mallinfo2().keepcost)
give_back()
print(libc.mallinfo2().keepcost)
"""
"""Prints the bytes that a message has from the system itself, those that are kept after it, and those
that are kept when they were given back."""


@pytest.fixture(scope="module", autouse=True)
def glibc() -> None:
    if not os.confstr("CS_GNU_LIBC_VERSION"):
        pytest.skip("the C library is not glibc")


def test_the_buffer_of_a_large_message_is_kept_until_it_is_given_back() -> None:
    mapped, kept, left = _run({})
    assert mapped == 0
    assert kept > 60_000_000
    assert left < 1_000_000


def test_a_setting_of_the_environment_is_left_alone() -> None:
    mapped, _, _ = _run({"MALLOC_MMAP_THRESHOLD_": str(2**20)})
    assert mapped > 60_000_000


def _run(variables: dict[str, str]) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(line) for line in done.stdout.split()]
