import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from server.decoder import Decoder

TRAININGS: Final = ("trainer", "mxnet")
"""Folders whose tests take about as long as all others together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Halves of the tests for two processes of pytest-xdist, by `-n 2 --dist loadgroup`."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        item.add_marker(pytest.mark.xdist_group("train" if folder in TRAININGS else "serve"))


@pytest.fixture(scope="session", autouse=True)
def _rare_collections() -> Iterator[None]:
    """Look for garbage less often: an export makes millions of objects, and is a seventh faster."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 100)
    yield
    gc.set_threshold(*before)


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(1, 10_000)
    yield decoder
    decoder.stop()
