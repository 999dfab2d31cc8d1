"""System shared memory that clients register by name, for tensors that then need no socket.

Off unless allowed, because a client names memory of this host. A key is a POSIX name, so a file
of /dev/shm and nothing else. Regions are read and written, not mapped: a client that cuts its
file short gets an error, where a mapping would end this process. The price is a copy, and a
descriptor for each region, so regions have a part of those that this process may open.

Texts of errors are Triton's.
Source: https://github.com/triton-inference-server/server/blob/main/src/shared_memory_manager.cc
"""

import os
import resource
import stat
import sys
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from contract.model_config import Json
from server.errors import AlreadyExists, RegionNotFound, RequestError, Unsupported

_PIECE: Final = 1 << 28
FOLDER: Final = Path("/dev/shm")  # noqa: S108  # where POSIX shared memory lives on Linux


class Region:
    """A part of a shared memory file; its file is closed with the last reference to it.

    Attributes:
        name: What requests call it.
        key: The POSIX name of the file, as the client gave it.
        offset: Where it begins in the file, in bytes.
        byte_size: Its length, in bytes.
    """

    def __init__(self, name: str, key: str, offset: int, byte_size: int, descriptor: int) -> None:
        self.name = name
        self.key = key
        self.offset = offset
        self.byte_size = byte_size
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)

    @property
    def file_size(self) -> int:
        """Bytes that the file has now."""
        return os.fstat(self._descriptor).st_size

    def read(self, offset: int, byte_size: int) -> memoryview:
        """The bytes from `offset` within the region, which `check` has accepted.

        It blocks for as long as the copy takes.

        Raises:
            RequestError: The client has cut its file short.
        """
        self._check_file(offset, byte_size)
        data = np.empty(byte_size, np.uint8).data  # unlike a bytearray, not zeroed first
        done = 0
        while done < byte_size:  # Linux reads 2 GiB at a time
            piece = data[done : done + _PIECE]
            count = os.preadv(self._descriptor, [piece], self.offset + offset + done)
            if not count:  # cut since it was looked at
                self._check_file(offset, byte_size)
            done += count
        return data

    def write(self, offset: int, data: bytes) -> None:
        """Write `data` from `offset` within the region, which `check` has accepted.

        Raises:
            RequestError: The client has cut its file short.
        """
        self._check_file(offset, len(data))
        view = memoryview(data)
        done = 0
        while done < len(data):
            piece = view[done : done + _PIECE]
            done += os.pwrite(self._descriptor, piece, self.offset + offset + done)

    def _check_file(self, offset: int, byte_size: int) -> None:
        held = self.file_size - self.offset - offset
        if held < byte_size:
            raise RequestError(
                f"shared memory region '{self.name}' holds {max(0, held)} of {byte_size} bytes; "
                f"its file '{self.key}' is shorter than when it was registered"
            )

    def check(self, offset: int, byte_size: int) -> None:
        """Refuse a range outside of the region.

        Raises:
            RequestError: It begins or ends outside.
        """
        if offset >= self.byte_size:
            raise RequestError(f"Invalid offset for shared memory region: '{self.name}'")
        if not 0 < offset + byte_size <= self.byte_size:
            raise RequestError(
                f"Invalid offset + byte size for shared memory region: '{self.name}'"
            )


@dataclass(frozen=True, slots=True)
class Slot:
    """The bytes of a region that one tensor of a request has."""

    region: Region
    offset: int
    byte_size: int

    def read(self) -> memoryview:
        """The tensor's bytes; it blocks for as long as the copy takes.

        Raises:
            RequestError: The client has cut its file short.
        """
        return self.region.read(self.offset, self.byte_size)

    def write(self, output: str, data: bytes) -> None:
        """Put the bytes of an output there.

        Raises:
            RequestError: They are more than the slot has.
        """
        if len(data) > self.byte_size:
            raise RequestError(
                f"shared memory size specified with the request for output '{output}' "
                f"({self.byte_size} bytes) should be at least {len(data)} bytes to hold the results"
            )
        self.region.write(self.offset, data)


class SharedMemory:
    """The registered regions.

    Args:
        allowed: Whether clients may register any.
        most_regions: How many; None for a quarter of the files that this process may open.
        most_bytes: How many the inputs of a request may have there together, since they are copied.
    """

    def __init__(
        self,
        *,
        allowed: bool,
        most_regions: int | None = None,
        most_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self.allowed = allowed
        self.most_bytes = most_bytes
        self._most_regions = most_regions or _open_files() // 4
        self._regions: dict[str, Region] = {}

    @property
    def in_use(self) -> bool:
        """Whether there is any region, so that a short request may name many bytes."""
        return bool(self._regions)

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Let requests use bytes [offset, offset + byte_size) of the file `key` as `name`.

        Raises:
            Unsupported: Shared memory is not allowed.
            AlreadyExists: The name is taken.
            RequestError: There is no such file, or it is shorter, or there are too many regions.
        """
        if not self.allowed:
            raise Unsupported(
                "system shared memory is off, because a client names memory of this host; "
                "start the server with --allow_shared_memory to allow it"
            )
        if name in self._regions:
            raise AlreadyExists(f"shared memory region '{name}' already in manager")
        if len(self._regions) >= self._most_regions:
            raise RequestError(
                f"failed to register shared memory region '{name}': {len(self._regions)} are "
                "registered, the limit of this server, a quarter of the files that it may open "
                "(ulimit -n); unregister some"
            )
        region = Region(name, key, offset, byte_size, _open(key))
        if byte_size < 1 or offset + byte_size > region.file_size:
            raise RequestError(f"failed to register shared memory region '{name}': invalid args")
        self._regions[name] = region

    def find(self, name: str, kind: str = "") -> Region:
        """The region of that name.

        Raises:
            RegionNotFound: There is none.
        """
        if name not in self._regions:
            raise RegionNotFound(name, kind)
        return self._regions[name]

    def slot(self, name: str, offset: int, byte_size: int) -> Slot:
        """A part of a region.

        Raises:
            RegionNotFound: There is no such region.
            RequestError: It does not hold those bytes.
        """
        region = self.find(name)
        region.check(offset, byte_size)
        return Slot(region, offset, byte_size)

    def status(self, name: str = "") -> list[dict[str, Json]]:
        """The region of that name, or all: name, key, offset and byte_size of each.

        Raises:
            RegionNotFound: There is no region of that name.
        """
        regions = [self.find(name, "system ")] if name else list(self._regions.values())
        return [
            {
                "name": region.name,
                "key": region.key,
                "offset": region.offset,
                "byte_size": region.byte_size,
            }
            for region in regions
        ]

    def unregister(self, name: str = "") -> None:
        """Forget the region of that name, or all; requests that use it end first."""
        if name:
            self._regions.pop(name, None)
        else:
            self._regions.clear()


def _open_files() -> int:
    """How many files this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def _open(key: str) -> int:
    """A descriptor of the shared memory file `key`, which has no path parts."""
    name = key.removeprefix("/")
    refusal = RequestError(f"Unable to open shared memory region: '{key}'")
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise refusal
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(FOLDER / name, flags)
    except (OSError, UnicodeEncodeError) as err:
        raise refusal from err
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise refusal
    return descriptor
