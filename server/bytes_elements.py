"""The elements of BYTES tensors <-> Triton's binary form: a 4-byte length before each.

Each element is an object of Python, so there are only so many of them. Texts of errors are those of
Triton's backends.
"""

import codecs
from collections.abc import Iterator, Sequence
from typing import Final

from server.errors import RequestError, TooMany

MOST_ELEMENTS: Final = 1 << 18
"""String elements of a tensor. To hand this many to onnxruntime takes the interpreter some ten
milliseconds, in which the server does nothing else."""

MOST_STRING_BYTES: Final = 1 << 24
"""Bytes of strings that a request gives a graph, for the same reason."""

Text = str | tuple[str, ...]
"""A string, or the parts of one."""

_PART: Final = 1 << 16
_JOINED: Final = 1 << 14


def split_elements(name: str, count: int, raw: memoryview, model: str) -> tuple[bytes, ...]:
    """The `count` elements of the input `name` of `model`.

    Raises:
        RequestError: There are more or fewer, or one is cut off.
    """
    about = about_input(name, model)
    elements: list[bytes] = []
    offset = 0
    while offset < len(raw):
        if len(elements) == count:
            raise RequestError(
                f"unexpected number of string elements {count + 1} {about}, expecting {count}"
            )
        start = offset + 4
        if start > len(raw):
            raise RequestError(
                f"incomplete string length indicator {about}, expecting 4 bytes but only "
                f"{len(raw) - offset} bytes available. Please make sure the string length "
                "indicator is in one buffer."
            )
        offset = start + int.from_bytes(raw[offset:start], "little")
        if offset > len(raw):
            raise RequestError(
                f"incomplete string data for inference input '{name}', expecting string of length {offset - start} "
                f"but only {len(raw) - start} bytes available"
            )
        elements.append(bytes(raw[start:offset]))
    check_count(name, count, len(elements), model)
    return tuple(elements)


def check_count(name: str, count: int, given: int, model: str) -> None:
    """Refuse another number of elements than the shape of the input `name` of `model` has.

    Raises:
        RequestError: There are more or fewer.
    """
    if given != count:
        raise RequestError(
            f"expected {count} string elements {about_input(name, model)}, got {given}"
        )


def check_most(name: str, count: int) -> None:
    """Refuse more elements than the input `name` may have.

    Raises:
        TooMany: There are.
    """
    if count > MOST_ELEMENTS:
        raise TooMany(f"string elements in input '{name}'", count, MOST_ELEMENTS)


def about_input(name: str, model: str) -> str:
    """How Triton names an input in these texts."""
    return f"for inference input '{name}' for model '{model}'"


def join_elements(elements: Sequence[bytes | str]) -> Iterator[bytes]:
    """The binary form of the elements of an output, some thousand at a time; strings as UTF-8."""
    for start in range(0, len(elements), _JOINED):
        some = [_as_bytes(element) for element in elements[start : start + _JOINED]]
        sized = ((len(element).to_bytes(4, "little"), element) for element in some)
        yield b"".join([part for pair in sized for part in pair])


def joined_size(elements: Sequence[bytes | str]) -> int:
    """The bytes of that form, without making it."""
    return 4 * len(elements) + sum(map(_utf8_size, elements))


def texts_of(name: str, elements: Sequence[bytes | str]) -> list[Text]:
    """The elements of the output `name` as JSON can hold them; long ones in parts.

    Raises:
        RequestError: One is no UTF-8 text.
    """
    try:
        return [_text(_as_bytes(element)) for element in elements]
    except UnicodeDecodeError as err:
        raise RequestError(
            f"output '{name}' holds bytes that are no UTF-8 text; ask for it with binary_data"
        ) from err


def _text(element: bytes) -> Text:
    if len(element) <= _PART:
        return element.decode()
    decoder = codecs.getincrementaldecoder("utf-8")()
    starts = range(0, len(element), _PART)
    parts = [decoder.decode(element[start : start + _PART]) for start in starts]
    return (*parts, decoder.decode(b"", final=True))


def _as_bytes(element: bytes | str) -> bytes:
    return element if isinstance(element, bytes) else element.encode()


def _utf8_size(element: bytes | str) -> int:
    if isinstance(element, bytes) or element.isascii():
        return len(element)
    return len(element.encode())
