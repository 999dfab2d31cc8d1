"""Each errors.py draws the tree of its classes."""

import inspect
import re
from types import ModuleType

import pytest

import contract.errors
import server.errors
import trainer.errors

_DRAWN = re.compile(r"^([│├└─ ]*)(\w+)(?: {2}|$)", re.MULTILINE)


@pytest.mark.parametrize("module", [contract.errors, server.errors, trainer.errors])
def test_each_error_stands_in_the_tree_of_its_module(module: ModuleType) -> None:
    kinds = [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__
    ]
    names = {kind.__name__ for kind in kinds}
    bases = {kind.__name__: kind.__bases__[0].__name__ for kind in kinds}
    assert _drawn(inspect.getdoc(module) or "") == {
        name: base if base in names else "" for name, base in bases.items()
    }


def _drawn(text: str) -> dict[str, str]:
    """The classes of a drawn tree, each with the one above it; a root with none."""
    columns: dict[str, int] = {}
    parents = {}
    for lines, name in _DRAWN.findall(text):
        above = [other for other, column in columns.items() if column < len(lines)]
        parents[name] = above[-1] if "─" in lines else ""
        columns = {other: columns[other] for other in above} | {name: len(lines)}
    return parents
