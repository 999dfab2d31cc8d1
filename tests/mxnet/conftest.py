from pathlib import Path

import pytest

from tests.marks import mark_folder
from tests.mxnet.records import ENVIRONMENT, PYTHON


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder; where there is no MXNet, skip them."""
    reason = f"no MXNet in {ENVIRONMENT.name}; `make mxnet` installs it"
    missing = "" if PYTHON.exists() else reason
    mark_folder(items, Path(__file__).parent, pytest.mark.mxnet, missing)
