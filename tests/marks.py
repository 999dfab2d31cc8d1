"""Marks of all tests of a folder."""

from collections.abc import Iterable
from pathlib import Path

import pytest


def mark_folder(
    items: Iterable[pytest.Item], folder: Path, mark: pytest.MarkDecorator, missing: str
) -> None:
    """Mark the tests below a folder, and skip them where something is `missing`: why, or empty."""
    for item in items:
        if folder in item.path.parents:
            item.add_marker(mark)
            if missing:
                item.add_marker(pytest.mark.skip(reason=missing))
