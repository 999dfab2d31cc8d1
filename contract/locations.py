"""Where a model repository lies: a folder, or a bucket by its URL, such as s3://BUCKET/PREFIX.

fsspec knows many more schemes. Those of web servers and code hosts list as empty what they cannot
reach, so a scheme is taken only if it is in the table, which says what was tried with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

PACKAGES: Final[Mapping[str, str]] = {"s3": "s3fs", "gs": "gcsfs"}
"""The schemes of buckets, each with fsspec's package for it.

The tests do everything with s3. With gs, against an emulator of that store, objects were listed, read,
written and sent out of sight, and a store that cannot be reached was an error.
"""

_SCHEME_END: Final = "://"
_EXPECTED: Final = ", ".join(
    ["expected a folder, or a URL: file:///FOLDER"]
    + [f"{scheme}://BUCKET/PREFIX" for scheme in PACKAGES]
)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A place in a store of objects.

    Attributes:
        url: SCHEME://BUCKET/PREFIX, without a slash at its end.
    """

    url: str

    def __truediv__(self, name: str) -> "Bucket":
        return Bucket(f"{self.url}/{name}")

    def __str__(self) -> str:
        return self.url


Location: TypeAlias = Path | Bucket
"""Where a model repository lies: a folder or a bucket."""


def parse_location(value: object) -> object:
    """What a user wrote as a repository or dataset: a `Bucket` where it is a URL, else a path.

    Raises:
        ValueError: The URL has another scheme, no bucket, or more than a bucket and a prefix.
    """
    if not isinstance(value, str) or _SCHEME_END not in value:
        return value
    parts = urlsplit(value)
    is_plain = not (parts.query or parts.fragment or "::" in value)
    if is_plain and parts.scheme == "file" and _is_of_this_machine(parts):
        return Path(url2pathname(parts.path))
    if is_plain and parts.scheme in PACKAGES and parts.netloc:
        return Bucket(f"{parts.scheme}{_SCHEME_END}{parts.netloc}{parts.path}".rstrip("/"))
    raise ValueError(f"got {value!r}, {_EXPECTED}")


def _is_of_this_machine(parts: SplitResult) -> bool:
    """Whether a file's URL names an absolute path here (RFC 8089)."""
    return parts.netloc in ("", "localhost") and parts.path.startswith("/")


def parse_path(value: object) -> object:
    """What a user wrote as a folder or file of this machine.

    Raises:
        ValueError: It is the URL of something else.
    """
    if isinstance(value, str) and _SCHEME_END in value and urlsplit(value).scheme != "file":
        raise ValueError(f"got {value!r}, expected a path of this machine, not a URL")
    return parse_location(value)


def absolute(location: Location) -> Location:
    """The location, whatever the working folder is."""
    return location if isinstance(location, Bucket) else location.resolve()
