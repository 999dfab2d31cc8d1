"""labels.txt: one class name a line; the line number, from 0, is the class index."""

from collections.abc import Sequence
from pathlib import Path

from contract.errors import ConfigError


def read_labels(path: Path) -> tuple[str, ...]:
    """Read the class names in index order.

    Raises:
        ConfigError: The file is missing, empty, not UTF-8, or names a class twice.
    """
    try:
        labels = tuple(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(path, f"cannot be read: {err}") from err
    check_labels(path, labels)
    return labels


def check_labels(path: Path, labels: Sequence[str]) -> None:
    """Refuse labels that a labels.txt cannot hold.

    Raises:
        ConfigError: No label, an empty one, one of several lines, or one that occurs twice.
    """
    if not labels:
        raise ConfigError(path, "names no class; expected one name a line")
    for index, label in enumerate(labels):
        if not label.strip() or len(label.splitlines()) != 1:
            raise ConfigError(path, f"label {index} is {label!r}; expected a name of one line")
        if any("\ud800" <= character <= "\udfff" for character in label):
            raise ConfigError(path, f"label {index} is {label!r}, which is not UTF-8")
    if repeated := {label for label in labels if labels.count(label) > 1}:
        raise ConfigError(path, f"names {sorted(repeated)} more than once")
