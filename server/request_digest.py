"""The inputs of a request -> a digest, by which equal inputs are known again.

A picture is known by its file's bytes, however they came, so that it need not be decoded. Each field
is hashed behind its length, so that no two different inputs make the same text. BLAKE2b with 256
bits: nobody can make two inputs of one digest.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from server.decoder import Base64Text, PictureFile, file_of
from server.errors import BadPicture

_DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Files:
    """Picture files, as a request holds them."""

    files: Sequence[PictureFile]

    @property
    def size(self) -> int:
        """About their bytes."""
        return sum(len(one.text if isinstance(one, Base64Text) else one) for one in self.files)

    def digest(self) -> bytes | None:
        """Their digest; None if one is no base64, which its decoding will refuse."""
        try:
            files = [file_of(index, file) for index, file in enumerate(self.files)]
        except BadPicture:
            return None
        return _digest([b"files", *files])


@dataclass(frozen=True, slots=True)
class Tensors:
    """Tensors of numbers, or of strings as objects, by name."""

    arrays: Mapping[str, NDArray[Any]]

    @property
    def size(self) -> int:
        """About their bytes; a string counts as its pointer alone."""
        return sum(array.nbytes for array in self.arrays.values())

    def digest(self) -> bytes:
        """Their digest, in whatever order they came."""
        names = sorted(self.arrays)
        return _digest(field for name in names for field in _fields(name, self.arrays[name]))


Inputs = Files | Tensors
"""The inputs of a part of a request."""


def _fields(name: str, array: NDArray[Any]) -> Iterable[bytes | memoryview]:
    yield from (name.encode(), array.dtype.str.encode(), str(array.shape).encode())
    if array.dtype == np.object_:
        yield from array.reshape(-1).tolist()
    else:
        yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _digest(fields: Iterable[bytes | memoryview]) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for field in fields:
        digest.update(len(field).to_bytes(8, "little"))
        digest.update(field)
    return digest.digest()
