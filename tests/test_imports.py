"""The arrows of import: trainer -> contract <- server, and nothing across."""

import subprocess
import sys

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
