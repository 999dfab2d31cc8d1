"""The files of a folder that count: not those that programs leave hidden, such as a notebook's copies."""

from collections.abc import Iterator
from pathlib import Path


def visible_files(folder: Path) -> Iterator[Path]:
    """The files below a folder by their paths; what is hidden in it, or lies in what is, is none."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file():
            yield path
