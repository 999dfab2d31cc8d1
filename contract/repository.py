"""The model repository's layout.

    model_repository/NAME/config.pbtxt        what the model is (model_config.py)
    model_repository/NAME/labels.txt          its classes (labels.py)
    model_repository/NAME/VERSION/model.onnx  one folder a version, named 1, 2, 3, ...; beside it
                                              copies of both, so that it can be served alone

A version that exists is whole, and all versions have the interface that the shared files describe; how
that is kept, trainer/publishing.py says.
"""

import logging
import re
from pathlib import Path
from typing import Final

from contract.errors import RepositoryError

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NUMBER = re.compile(r"0*([0-9]{1,19})")

LARGEST_VERSION: Final = (1 << 63) - 1
"""The largest number of a version; they are int64 in Triton's protocol."""


def check_model_name(name: str) -> str:
    """Return `name` if it is safe as a folder and in a URL.

    Raises:
        RepositoryError: It is not.
    """
    if not is_model_name(name):
        raise RepositoryError(
            f"model name {name!r}: expected up to 128 letters, digits, '.', '_' and '-', "
            "the first a letter or digit"
        )
    return name


def is_model_name(name: str) -> bool:
    """Whether the name is safe as a folder and in a URL."""
    return _NAME.fullmatch(name) is not None


def parse_version(name: str) -> int | None:
    """The number that a version's folder is named by; None for another folder."""
    number = version_number(name)
    return number if number and not name.startswith("0") else None


def version_number(text: str) -> int | None:
    """The number by which a client asks for a version, maybe with zeros before it; None if none."""
    match = _NUMBER.fullmatch(text)
    number = int(match[1]) if match else -1
    return number if 0 <= number <= LARGEST_VERSION else None


def list_model_dirs(repository: Path) -> list[Path]:
    """The model folders of a repository, by name; hidden ones and lost+found are not models.

    A name that is not UTF-8 can be in no request and no answer, so such a folder is passed over.

    Raises:
        RepositoryError: The repository is not a folder that can be read.
    """
    try:
        entries = sorted(repository.iterdir())
    except OSError as err:
        raise RepositoryError(f"model repository {repository}: {err.strerror or err}") from err
    folders = [
        path
        for path in entries
        if path.is_dir() and not path.name.startswith(".") and path.name != "lost+found"
    ]
    for path in folders:
        if not _is_utf8(path.name):
            logger.warning("passed over folder=%r: its name is not UTF-8", str(path))
    return [path for path in folders if _is_utf8(path.name)]


def _is_utf8(name: str) -> bool:
    """Whether a name from the file system has no bytes that are not UTF-8."""
    return name == name.encode("utf-8", "ignore").decode("utf-8")


def list_versions(model_dir: Path) -> list[int]:
    """The version numbers of a model, ascending; empty if the folder does not exist."""
    if not model_dir.is_dir():
        return []
    return sorted(
        number
        for path in model_dir.iterdir()
        if (number := parse_version(path.name)) is not None and path.is_dir()
    )
