"""SageMaker's own documents of its algorithms, where they lie beside the project."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "shared" / "seeds"


def document(algorithm: str) -> str:
    """A document's text with single spaces; skips the test where it is not at hand."""
    path = FOLDER / f"sagemaker_{algorithm}_ja.txt"
    if not path.is_file():
        pytest.skip(f"no {path.name} beside the project: SageMaker's text is not ours to copy")
    return " ".join(path.read_text(encoding="utf-8").split())
