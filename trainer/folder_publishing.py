"""Publishing a model into a repository that is a folder.

A version is written into a hidden folder beside it and renamed into place, so a version that
exists is whole, and a reader never meets half of one. The price: config.pbtxt and labels.txt are
shared by all versions, so a version with another interface is refused and needs another name.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
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
from contract.repository import LARGEST_VERSION, check_model_name, list_versions
from trainer.files import replace_text

_INTERFACE_PARAMETERS: Final = ("task", "resize")
_PUBLISH_ATTEMPTS: Final = 100


def publish_folder(
    repository: Path,
    config: ModelConfig,
    labels: Sequence[str],
    write_model: Callable[[Path], None],
    finish: Callable[[Path], ModelConfig] | None = None,
) -> int:
    """`publishing.publish` into a folder, which is made if it does not exist; the version's number.

    Raises:
        ConfigError: The labels cannot be written.
        RepositoryError: The model exists with another interface, or no folder can be written.
    """
    check_folder_publishable(repository, config, labels)
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


def check_folder_publishable(repository: Path, config: ModelConfig, labels: Sequence[str]) -> None:
    """Refuse now what `publish_folder` would refuse after the work is done.

    Raises:
        ConfigError: The labels cannot be written.
        RepositoryError: The name is none, or the model exists with another interface, or with the
            largest version.
    """
    model_dir = repository / check_model_name(config.name)
    check_labels(model_dir / LABELS_FILE, labels)
    next_version(list_versions(model_dir), model_dir)
    _check_same_interface(model_dir, config, labels)


def next_version(present: Iterable[int], where: object) -> int:
    """The number of the version that is published beside those that are present.

    Raises:
        RepositoryError: There is none, as one of them has the largest.
    """
    newest = max(present, default=0)
    if newest >= LARGEST_VERSION:
        raise RepositoryError(
            f"{where} has version {newest}, and no version can have a larger number; "
            "publish under another --name, or rename that version"
        )
    return newest + 1


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _rename_to_next_version(staging: Path, model_dir: Path) -> int:
    for _ in range(_PUBLISH_ATTEMPTS):
        version = next_version(list_versions(model_dir), model_dir)
        try:
            staging.rename(model_dir / str(version))
        except OSError:  # another publisher took the number between the look and the rename
            if not (model_dir / str(version)).exists():
                raise
            continue
        return version
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
