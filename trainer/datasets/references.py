"""References of a manifest -> pictures and masks that can be read.

    s3://BUCKET/KEY      fetched into the workspace, by its own credentials and endpoint
    file:///PATH, /PATH  the file there
    PATH                 the file below the manifest's folder, which it may not leave

An object is known by its URL from then on: wherever it was fetched to, the dataset is the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from trainer.datasets.dataset import Stored, is_inside
from trainer.errors import DatasetError, listed
from trainer.fetching import fetch_objects

EXPECTED: Final = "expected s3://BUCKET/KEY, file:///PATH, or a path below the manifest's folder"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A copy of an object.

    Attributes:
        url: Where the object lies.
        path: Where its copy lies.
    """

    url: str
    path: Path = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """The URL."""
        return self.url

    def __str__(self) -> str:
        return self.url

    def read_bytes(self) -> bytes:
        """The object's content.

        Raises:
            OSError: The copy cannot be read.
        """
        return self.path.read_bytes()


def resolve(
    references: Iterable[tuple[str, str]], folder: Path, workspace: Path
) -> dict[str, Stored]:
    """What references mean, by reference.

    Args:
        references: The place of each, for messages, and the reference.
        folder: What paths are relative to.
        workspace: A folder of this training alone, for what is fetched.

    Raises:
        DatasetError: Some are malformed, of another scheme, or lead out of the folder; a line each.
        BucketError: An object cannot be fetched.
    """
    found: dict[str, Stored] = {}
    faults = []
    for where, reference in references:
        stored = _parse(reference, folder, workspace)
        if isinstance(stored, str):
            faults.append(f"{where}: {stored}")
        else:
            found[reference] = stored
    if faults:
        raise DatasetError(*listed(faults))
    fetch_objects(
        {one.url: one.path for one in found.values() if isinstance(one, Fetched)}, workspace
    )
    return found


def _parse(reference: str, folder: Path, workspace: Path) -> Stored | str:
    """What a reference means, or what is wrong with it."""
    scheme, separator, rest = reference.partition("://")
    bucket, _, key = rest.partition("/")
    if "\0" in reference or not reference.strip():
        return f"got {reference!r}, {EXPECTED}"
    if not separator:
        place = folder / reference  # which is the reference itself, if that begins with a slash
        confined = is_inside(folder, place) or Path(reference).is_absolute()
        return place if confined else f"{reference!r} leads out of {folder}"
    if scheme == "file" and not bucket:
        return Path(url2pathname(urlsplit(reference).path))
    if scheme == "s3" and bucket and key:
        digest = sha256(reference.encode("utf-8", "surrogatepass")).hexdigest()
        return Fetched(reference, workspace / "objects" / digest[:2] / digest)
    return f"got {reference!r}, {EXPECTED}"
