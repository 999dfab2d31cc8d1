"""A model's folder -> the class names of those outputs whose configuration names a file of them."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from contract.errors import ConfigError
from contract.labels import label_lines, read_labels
from contract.model_config import ModelConfig
from server.errors import LoadError


def read_output_labels(model_dir: Path, config: ModelConfig) -> Mapping[str, tuple[str, ...]]:
    """The class names in index order, by output.

    A task needs names that tell its classes apart. Other models' files may say anything; bytes that
    are no UTF-8 are surrogates in the names, and with `surrogateescape` those bytes again.

    Raises:
        LoadError: A file is missing, outside of the folder, or none of a task's labels.
    """
    files = {spec.name: spec.label_filename for spec in config.outputs if spec.label_filename}
    return {output: _read(model_dir, output, file, config) for output, file in files.items()}


def _read(model_dir: Path, output: str, file: str, config: ModelConfig) -> tuple[str, ...]:
    named = f"model '{config.name}': label_filename of output '{output}' is {file!r}"
    if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
        raise LoadError(f"{named}; expected a path within the model's folder")
    path = model_dir / file
    try:
        return read_labels(path) if config.task else _lines(path)
    except ConfigError as err:
        raise LoadError(str(err)) from err
    except (OSError, ValueError) as err:  # a ValueError: a null byte in the name
        raise LoadError(f"{named}, which cannot be read: {err}") from err


def _lines(path: Path) -> tuple[str, ...]:
    return tuple(line.decode(errors="surrogateescape") for line in label_lines(path.read_bytes()))
