"""The operators of an ONNX file's graph, of graphs within its nodes and of its functions.

What is no such file, or has more than MOST_FIELDS fields, has the operators that were found up to
there; onnxruntime says what is wrong with it.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from contract.onnx_fields import values_of

_FIELDS: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node"},
    "node": {4: "op_type", 5: "attribute"},
    "attribute": {6: "graph", 11: "graph"},
    "function": {7: "node"},
}

_LONGEST_NAME: Final = 1024  # bytes of an operator's type


def read_operators(path: Path) -> frozenset[str]:
    """The types of all operators in the file's graph, such as Conv.

    Raises:
        OSError: The file cannot be read.
    """
    found: set[str] = set()
    with path.open("rb") as file, suppress(LookupError, ValueError):
        for name in values_of(file, _FIELDS, _LONGEST_NAME):
            found.add(name.decode())
    return frozenset(found)
