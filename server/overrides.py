"""What a load request brings itself: a configuration, and files instead of the repository's.

The files are written into a private temporary folder that is gone once they are loaded.

Source: Triton's model repository extension,
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from contract.errors import ContractError
from contract.model_config import ModelConfig, parse_model_config
from contract.repository import check_model_name
from server.errors import LoadFailed

_PREFIX: Final = "file:"
_MOST_FILES: Final = 1000
_MOST_CHARACTERS: Final = 1 << 18  # of a configuration, which is shown to whoever asks for it
_MOST_PARTS: Final = 8


def parse_override(name: str, text: str) -> ModelConfig:
    """The configuration of a load request, JSON of Triton's schema; a long one takes a while.

    Raises:
        LoadFailed: It is none, or another model's, or too long.
    """
    if len(text) > _MOST_CHARACTERS:
        raise LoadFailed(
            name,
            f"Invalid config override: it has {len(text)} characters; the limit is "
            f"{_MOST_CHARACTERS}",
            polled=False,
        )
    try:
        config = parse_model_config(text)
    except ValueError as err:
        raise LoadFailed(name, f"Invalid config override: {err}", polled=False) from err
    if config.name not in ("", name):
        raise LoadFailed(
            name,
            f"Invalid config override: its name is '{config.name}'; expected '{name}' or none",
            polled=False,
        )
    return config.renamed(name)


def write_private_folder(
    name: str, files: Mapping[str, bytes], limit_bytes: int
) -> "tempfile.TemporaryDirectory[str]":
    """Write the files of a load request as a model's folder; blocks.

    Args:
        name: The model.
        files: Content by path within the model's folder, such as 1/model.onnx; the path may
            begin with Triton's prefix `file:`.
        limit_bytes: Most that they may hold together.

    Raises:
        LoadFailed: A path leads elsewhere, or they are too many or too large.
    """
    try:
        check_model_name(name)
    except ContractError as err:
        raise LoadFailed(name, str(err), polled=False) from err
    size = sum(map(len, files.values()))
    if size > limit_bytes or len(files) > _MOST_FILES:
        raise LoadFailed(
            name,
            f"{len(files)} files of {size} bytes; expected up to {_MOST_FILES} of "
            f"{limit_bytes} bytes together (--http_max_input_size)",
            polled=False,
        )
    paths = {check_path(name, key): content for key, content in files.items()}
    folder = None
    try:
        folder = tempfile.TemporaryDirectory(prefix="aperture-")
        for path, content in paths.items():
            target = Path(folder.name, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    except OSError as err:  # a name too long, one path inside another, a full disk, no /tmp
        if folder is not None:
            folder.cleanup()
        reason = f"its files cannot be written: {err.strerror or err}"
        raise LoadFailed(name, reason, polled=False) from err
    return folder


def check_path(name: str, key: str) -> PurePosixPath:
    """The path of a file of a load request, confined to the model's folder.

    Raises:
        LoadFailed: It leads elsewhere.
    """
    text = key.removeprefix(_PREFIX)
    parts = text.split("/")
    plain = len(parts) <= _MOST_PARTS and not any(
        part in ("", ".", "..") or "\\" in part or not part.isprintable() for part in parts
    )
    if not plain:
        raise LoadFailed(
            name,
            f"file {key[:200]!r} is no path within the model's folder; expected one such as "
            "file:1/model.onnx",
            polled=False,
        )
    return PurePosixPath(text)
