"""The model repository's layout, and publishing into it.

    model_repository/NAME/config.pbtxt        what the model is (model_config.py)
    model_repository/NAME/labels.txt          its classes (labels.py)
    model_repository/NAME/VERSION/model.onnx  one folder a version, named 1, 2, 3, ...; beside it
                                              copies of both, so that it can be served alone

A version is written into a hidden folder beside it and renamed into place, so a version that
exists is whole, and a reader never meets half of one. The price: config.pbtxt and labels.txt are
shared by all versions, so a version with another interface is refused and needs another name.
The same layout in a bucket is trainer/publishing.py's.
"""

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.errors import ConfigError, RepositoryError
from contract.labels import check_labels, read_labels
from contract.model_config import (
    CONFIG_FILE,
    LABELS_FILE,
    MODEL_FILE,
    ModelConfig,
    read_model_config,
)

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NUMBER = re.compile(r"0*([0-9]{1,19})")
_INTERFACE_PARAMETERS: Final = ("task", "resize")
_PUBLISH_ATTEMPTS: Final = 100

NEWEST_VERSION: Final = (1 << 63) - 1
"""The largest number of a version; they are int64 in Triton's protocol."""


@dataclass(frozen=True, slots=True)
class Published:
    """Where a version was published."""

    model_dir: Path
    version: int

    @property
    def version_dir(self) -> Path:
        """The folder of the version."""
        return self.model_dir / str(self.version)


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
    return number if 0 <= number <= NEWEST_VERSION else None


def next_version(present: Iterable[int], where: object) -> int:
    """The number of the version that is published beside those that are present.

    Raises:
        RepositoryError: There is none, as one of them has the largest.
    """
    newest = max(present, default=0)
    if newest >= NEWEST_VERSION:
        raise RepositoryError(
            f"{where} has version {newest}, and no version can have a larger number; "
            "publish under another --name, or rename that version"
        )
    return newest + 1


def check_writable(repository: Path) -> None:
    """Refuse a repository that cannot be published to; one that does not exist is not made yet.

    Raises:
        RepositoryError: No folder can be written there.
    """
    try:
        folder = next(
            path for path in (repository, *repository.absolute().parents) if path.exists()
        )
        Path(tempfile.mkdtemp(prefix=".probe-", dir=folder)).rmdir()
    except OSError as err:
        raise RepositoryError(f"cannot write to {repository}: {err.strerror or err}") from err


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


def publish(
    repository: Path,
    config: ModelConfig,
    labels: Sequence[str],
    write_model: Callable[[Path], None],
    finish: Callable[[Path], ModelConfig] | None = None,
) -> Published:
    """Publish a model as the next version of `config.name`; readers see all of it or nothing.

    Args:
        repository: The model repository; made if it does not exist.
        config: The configuration, which replaces the present one.
        labels: The class names in index order.
        write_model: Writes and checks model.onnx at the path it is given.
        finish: Looks at what was written there, and returns the configuration to publish instead.

    Raises:
        ConfigError: The labels cannot be written.
        RepositoryError: The model exists with another interface, or no folder can be written.
    """
    check_publishable(repository, config, labels)
    model_dir = repository / config.name
    try:
        model_dir.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=model_dir))
    except OSError as err:
        raise RepositoryError(f"cannot write to {model_dir}: {err.strerror or err}") from err
    try:
        staging.chmod(0o755)  # mkdtemp's 0700 would hide the version from a server of another uid
        write_model(staging / MODEL_FILE)
        if finish is not None:
            config = finish(staging / MODEL_FILE)
        for folder in (staging, model_dir):  # the version's own, for who takes it alone
            replace_text(folder / LABELS_FILE, "".join(f"{label}\n" for label in labels))
            replace_text(folder / CONFIG_FILE, config.to_text())
        for path in staging.rglob("*"):
            if path.is_file():
                _flush(path)  # the rename must not outlive the content
        return _rename_to_next_version(staging, model_dir)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_publishable(repository: Path, config: ModelConfig, labels: Sequence[str]) -> None:
    """Refuse now what `publish` would refuse after the work is done.

    Raises:
        ConfigError: The labels cannot be written.
        RepositoryError: The name is none, or the model exists with another interface, or with the
            largest version.
    """
    model_dir = repository / check_model_name(config.name)
    check_labels(model_dir / LABELS_FILE, labels)
    next_version(list_versions(model_dir), model_dir)
    _check_same_interface(model_dir, config, labels)


def replace_text(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader sees the old content or the new, never a part."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as staging:
        staging.write(text)
    Path(staging.name).chmod(0o644)  # as for the version's folder
    Path(staging.name).replace(path)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _rename_to_next_version(staging: Path, model_dir: Path) -> Published:
    for _ in range(_PUBLISH_ATTEMPTS):
        version = next_version(list_versions(model_dir), model_dir)
        try:
            staging.rename(model_dir / str(version))
        except OSError:  # another publisher took the number between the look and the rename
            if not (model_dir / str(version)).exists():
                raise
            continue
        return Published(model_dir, version)
    raise RepositoryError(f"{model_dir}: no free version number after {_PUBLISH_ATTEMPTS} attempts")


def _check_same_interface(model_dir: Path, config: ModelConfig, labels: Sequence[str]) -> None:
    if not list_versions(model_dir):
        return
    try:
        present, present_labels = read_model_config(model_dir), read_labels(model_dir / LABELS_FILE)
    except ConfigError as err:
        raise RepositoryError(f"{model_dir} holds versions, but {err}") from err
    differences = [
        what
        for what, differs in {
            "inputs": present.inputs != config.inputs,
            "outputs": present.outputs != config.outputs,
            "labels": present_labels != tuple(labels),
            **{
                key: present.parameters.get(key) != config.parameters.get(key)
                for key in _INTERFACE_PARAMETERS
            },
        }.items()
        if differs
    ]
    if differences:
        raise RepositoryError(
            f"{model_dir} serves a model with other {' and '.join(differences)}; "
            "its clients rely on them: publish under another --name"
        )
