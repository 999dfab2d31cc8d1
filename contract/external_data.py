"""The weights of an ONNX file that lie in files beside it, its external data, read into memory.

onnxruntime would map those files for as long as it has the session: to write over them changes the
answers of what serves, and to cut them short, as cp does first, ends the process. The price is
that they are in memory twice while a session is opened. It takes them for the initializers of the
main graph alone, so those of graphs within its nodes (If, Loop) are mapped as before.
"""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.onnx_fields import values_of

_FIELDS: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {7: "graph"},
    "graph": {5: "initializer"},
    "initializer": {13: "external_data"},
}
"""What leads to the entries that tell where a tensor lies, a key and a value each."""

_LONGEST_ENTRY: Final = 1 << 16  # bytes; a path of Linux has 4096


def read_external_data(path: Path) -> dict[str, NDArray[np.uint8]]:
    """The content of each file of external data, by its location as the graph has it.

    None at all if one of them is not there or lies elsewhere than the model; onnxruntime says then
    what is wrong.

    Raises:
        OSError: A file cannot be read.
    """
    found = {name: _within(path, name) for name in sorted(_locations(path))}
    files = {name: file for name, file in found.items() if file is not None}
    if len(files) < len(found):
        return {}
    return {name: np.fromfile(file, np.uint8) for name, file in files.items()}


def _locations(path: Path) -> set[str]:
    """The locations of the main graph's initializers; none of a file that is no model."""
    with path.open("rb") as file:
        try:
            entries = [
                (_text(entry, 1), _text(entry, 2))
                for entry in values_of(file, _FIELDS, _LONGEST_ENTRY)
            ]
        except (LookupError, ValueError):
            return set()
    return {value for key, value in entries if key == "location"}


def _text(entry: bytes, number: int) -> str:
    """The text of a field of an entry."""
    fields = {"entry": {number: "text"}}
    return b"".join(values_of(BytesIO(entry), fields, _LONGEST_ENTRY)).decode()


def _within(path: Path, location: str) -> Path | None:
    """The file of that location, if it lies where onnxruntime takes it from.

    That is the folder of the model, or the one of the file that the model's is a link to.
    """
    if not location or "\0" in location or Path(location).is_absolute():
        return None
    target = (path.parent / location).resolve()
    folders = (path.parent.resolve(), path.resolve().parent)
    inside = any(target.is_relative_to(folder) for folder in folders)
    return target if inside and target.is_file() else None
