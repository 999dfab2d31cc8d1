"""SageMaker's own documents of its algorithms, where they lie beside the project."""

from pathlib import Path
from typing import Final

import pytest

SHARED: Final = Path(__file__).parents[4] / "shared"


def document(*parts: str) -> str:
    """A document's text; the test is skipped where it is not."""
    path = SHARED.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the project")
    return path.read_text(encoding="utf-8")


def seed(algorithm: str) -> str:
    """The document of an algorithm, in one line."""
    return " ".join(document("seeds", f"sagemaker_{algorithm}_ja.txt").split())
