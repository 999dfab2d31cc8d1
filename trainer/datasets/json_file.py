"""A JSON file -> what it holds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contract.model_config import Json
from trainer.errors import DatasetError


def read_json(path: Path, pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Json:
    """Read a file, which may begin with a byte order mark.

    Args:
        path: The file.
        pairs_hook: As `object_pairs_hook` of `json.loads`.

    Raises:
        DatasetError: It cannot be read, or is no JSON.
    """
    try:
        found: Json = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=pairs_hook)
    except (OSError, ValueError, RecursionError) as err:  # the last of a file nested too deep
        raise DatasetError(f"{path}: is no JSON file: {err}") from err
    return found
