"""What is written to the disk, and whether it can be."""

import tempfile
from pathlib import Path

from contract.errors import RepositoryError


def check_folder_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written to; one that does not exist is not made yet.

    Raises:
        RepositoryError: No folder can be written there.
    """
    try:
        present = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        Path(tempfile.mkdtemp(prefix=".probe-", dir=present)).rmdir()
    except OSError as err:
        raise RepositoryError(f"cannot write to {folder}: {err.strerror or err}") from err


def replace_text(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader sees the old content or the new, never a part."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as staging:
        staging.write(text)
    Path(staging.name).chmod(0o644)  # mkstemp's 0600 would hide it from a server of another uid
    Path(staging.name).replace(path)
