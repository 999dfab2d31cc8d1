"""Where a model repository lies: a folder, or a bucket by its URL, such as s3://BUCKET/PREFIX."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

_SCHEME_END: Final = "://"


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
    """What a user wrote as a repository: a `Bucket` where it is a URL, else a path.

    Raises:
        ValueError: The URL has no bucket, or more than a bucket and a prefix.
    """
    if not isinstance(value, str) or _SCHEME_END not in value:
        return value
    parts = urlsplit(value)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    if not parts.netloc or parts.query or parts.fragment or "::" in value:
        raise ValueError(f"got {value!r}, expected a folder, or a URL such as s3://BUCKET/PREFIX")
    return Bucket(value.rstrip("/"))


def parse_folder(value: object) -> object:
    """What a user wrote as a folder, which a bucket is not.

    Raises:
        ValueError: It is a bucket.
    """
    place = parse_location(value)
    if isinstance(place, Bucket):
        raise ValueError(  # noqa: TRY004  # which pydantic shows with the option
            f"got {value!r}, expected a folder; a bucket is a --model_repository"
        )
    return place


def absolute(location: Location) -> Location:
    """The location, whatever the working folder is."""
    return location if isinstance(location, Bucket) else location.resolve()
