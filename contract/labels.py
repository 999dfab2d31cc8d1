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
        labels = tuple(line.decode("utf-8") for line in label_lines(path.read_bytes()))
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(path, f"cannot be read: {err}") from err
    check_labels(path, labels)
    return labels


def label_lines(text: bytes) -> list[bytes]:
    r"""The lines of a file of labels, which end with \n or \r\n and with nothing else."""
    lines = [line.removesuffix(b"\r") for line in text.split(b"\n")]
    return lines if lines[-1] else lines[:-1]


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
