"""The arrows of import: trainer -> contract <- server, and nothing across."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

CASES = {
    "contract.pictures, contract.repository, contract.options": "torch transformers kserve trainer server",
    "server.cli, server.assembly": "torch transformers trainer",
    "trainer.cli": "torch transformers server kserve",  # --help and bad flags answer at once
    "trainer.sagemaker.algorithms, trainer.sagemaker.train": "torch transformers server kserve",
    "server.batcher": "kserve onnxruntime",
}


@pytest.mark.parametrize(("modules", "absent"), CASES.items())
def test_what_an_import_must_not_bring(modules: str, absent: str) -> None:
    code = (
        f"import sys; import {modules}; print(*(m for m in {absent.split()} if m in sys.modules))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_no_test_is_the_library_of_another() -> None:
    tests = Path(__file__).parent
    found = [
        str(path.relative_to(tests))
        for path in tests.rglob("*.py")
        if re.search(r"^ *(from|import) tests[.\w]*\.test_", path.read_text(), re.MULTILINE)
    ]
    assert found == [], "what several use is a module of helpers, or a fixture of conftest.py"
