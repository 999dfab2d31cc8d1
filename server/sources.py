"""Where models lie on disk: a repository of model folders, or what KServe mounts.

A model's folder has Triton's layout, NAME/{config.pbtxt, VERSION/model.onnx}, config.pbtxt or not.
--model_dir, which KServe's storage initializer fills from a storageUri, may hold

    a repository      folders of models
    one model         config.pbtxt, or version folders with model.onnx in them
    a bare ONNX file  model.onnx, or a single *.onnx of another name: version 1 of a model
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from contract.errors import ContractError
from contract.model_config import (
    CONFIG_FILE,
    MODEL_FILE,
    ModelConfig,
    empty_model_config,
    read_model_config,
)
from contract.repository import list_model_dirs, list_versions
from server.errors import LoadError

_BARE_VERSION = 1
_SHOWN = 10  # names of what lies in a folder without a model


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model's folder.

    Attributes:
        name: The name that the model answers to.
        path: The folder.
        bare_file: The ONNX file beside config.pbtxt, where there are no version folders.
        trouble: Why the files are not what they are to be; empty where they are.
        faults: The same of single versions.
    """

    name: str
    path: Path
    bare_file: Path | None = None
    trouble: str = ""
    faults: Mapping[int, str] = field(default_factory=dict)

    def versions(self) -> list[int]:
        """The version numbers, ascending."""
        if self.bare_file is not None:
            return [_BARE_VERSION]
        return sorted({*list_versions(self.path), *self.faults})

    def version_dir(self, number: int) -> Path:
        """Where the version's files lie."""
        return self.path if self.bare_file is not None else self.path / str(number)

    def model_file(self, number: int, config: ModelConfig) -> Path:
        """The version's ONNX file; in a folder of that name it lies beside its external data.

        Raises:
            LoadError: There is none.
        """
        if number in self.faults:
            raise LoadError(self.faults[number])
        if self.bare_file is not None:
            return self.bare_file
        if Path(config.model_file).name != config.model_file or config.model_file == "..":
            raise LoadError(
                f"default_model_filename is {config.model_file!r}; expected the name of a file "
                "in the version folder"
            )
        path = self.version_dir(number) / config.model_file
        if path.is_dir():
            path = path / MODEL_FILE
        if not path.is_file():
            raise LoadError(f"{path} is missing; expected the version's ONNX file")
        return path

    def read_config(self) -> ModelConfig:
        """config.pbtxt, or without one a configuration that leaves everything open.

        Raises:
            LoadError: The file cannot be used.
        """
        if self.trouble:
            raise LoadError(self.trouble)
        if not (self.path / CONFIG_FILE).exists():
            return empty_model_config(self.name)
        try:
            return read_model_config(self.path).renamed(self.name)
        except ContractError as err:
            raise LoadError(str(err)) from err


class Source(Protocol):
    """Where the models lie that are to be served."""

    def names(self) -> Iterable[str]:
        """The models that lie there.

        Raises:
            LoadError: They cannot be listed.
        """
        ...

    def folders(
        self, asked: Mapping[str, ModelConfig | None] | None = None
    ) -> dict[str, ModelFolder]:
        """The folder of each model that lies there now, by name; of `asked`, at least these.

        Args:
            asked: The models wanted now, with the configuration for one that brings its own; None
                for all models.

        Raises:
            LoadError: They cannot be looked at.
        """
        ...

    def stop(self) -> None:
        """End what a look is at."""
        ...


@dataclass(frozen=True, slots=True)
class FolderSource:
    """Models in a folder of this machine.

    Attributes:
        root: A folder of model folders, or one model's.
        one_name: The name of the only model, or None where folders name theirs.
        is_model: Whether `root` is one model's folder.
    """

    root: Path
    one_name: str | None
    is_model: bool

    def names(self) -> Iterable[str]:
        """The models that lie there.

        Raises:
            LoadError: The folder cannot be read.
        """
        return self.folders()

    def stop(self) -> None:
        """Do nothing: a look takes no time."""

    def folders(
        self, asked: Mapping[str, ModelConfig | None] | None = None
    ) -> dict[str, ModelFolder]:
        """The folder of each model that lies there now, by name, whatever is asked.

        Raises:
            LoadError: The folder cannot be read.
        """
        if self.is_model:
            name = self.one_name or self.root.absolute().name
            return {name: ModelFolder(name, self.root, bare_file(self.root))}
        try:
            folders = {
                path.name: ModelFolder(path.name, path) for path in list_model_dirs(self.root)
            }
        except ContractError as err:
            raise LoadError(str(err)) from err
        if self.one_name is not None and len(folders) == 1:
            (only,) = folders.values()
            return {self.one_name: ModelFolder(self.one_name, only.path)}
        return folders


def find_source(repository: Path | None, model_dir: Path | None, name: str | None) -> FolderSource:
    """Look at what the user named.

    Args:
        repository: A folder of model folders, or None.
        model_dir: One model's folder, or a repository, as KServe mounts either; or None.
        name: The name for the one model of `model_dir`; its config's or its folder's, if None.

    Raises:
        LoadError: There is no such folder, or it is of the other kind.
    """
    root = repository or model_dir
    if root is None or not root.is_dir():
        raise LoadError(f"{root} is not a folder; expected a model repository or a model's folder")
    if repository is not None and (root / CONFIG_FILE).is_file():
        raise LoadError(
            f"{root} is one model's folder; give it as --model_dir, or its parent folder"
        )
    if repository is not None or not is_model(root):
        return FolderSource(root, name, is_model=False)
    _refuse_mixed(root)
    return FolderSource(root, name or _config_name(root), is_model=True)


def require_model(source: FolderSource) -> None:
    """Refuse a folder without any model: a server that does not poll would never have one.

    Raises:
        LoadError: No version of a model lies there.
    """
    if any(folder.versions() for folder in source.folders().values()):
        return
    names = sorted(
        f"{path.name}/" if path.is_dir() else path.name for path in source.root.iterdir()
    )
    shown = [*names[:_SHOWN], *([f"and {len(names) - _SHOWN} more"] if names[_SHOWN:] else [])]
    raise LoadError(
        f"{source.root} holds no model, but {', '.join(shown) or 'nothing at all'}; expected "
        f"NAME/{CONFIG_FILE} and NAME/1/{MODEL_FILE}, the same without NAME/, or a single .onnx file"
    )


def _refuse_mixed(root: Path) -> None:
    """Refuse a version's files that lie among other versions, because no one knows whose they are.

    KServe's storage initializer copies by key prefix, so a storageUri .../NAME/1 without a slash at
    its end also brings .../NAME/11, as the folder 1.
    """
    versions = list_versions(root)
    if versions and (root / MODEL_FILE).exists():
        raise LoadError(
            f"{root} holds {MODEL_FILE} beside the version folders {', '.join(map(str, versions))}; "
            "expected one of them; the storageUri of a version ends with a slash"
        )


def is_model(folder: Path) -> bool:
    """Whether a folder is one model's, not a repository of models."""
    if (folder / CONFIG_FILE).is_file() or bare_file(folder) is not None:
        return True
    versions = (folder / str(number) for number in list_versions(folder))
    return any((version / MODEL_FILE).exists() for version in versions)


def bare_file(folder: Path) -> Path | None:
    """The ONNX file of a folder without version folders: model.onnx, or the only *.onnx."""
    if list_versions(folder):
        return None
    files = [path for path in folder.glob("*.onnx") if path.is_file()]
    named = [path for path in files if path.name == MODEL_FILE]
    return next(iter(named or (files if len(files) == 1 else [])), None)


def _config_name(folder: Path) -> str | None:
    if not (folder / CONFIG_FILE).is_file():
        return None
    try:
        return read_model_config(folder).name
    except ContractError as err:
        raise LoadError(str(err)) from err
