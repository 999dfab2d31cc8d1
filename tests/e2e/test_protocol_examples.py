"""Every example of docs/protocols.md prints what stands behind it."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.documents import Example, code_without_output, examples_of, prints
from tests.live_server import LiveServer, live_server
from tests.sagemaker.runtime import PYTHON
from tests.tiny_models import publish_colour_model
from tests.triton.configurations import FORGIVEN
from tests.triton.differences import DIFFERENCES
from tests.triton.grpc_differences import GRPC_DIFFERENCES
from tests.triton.header_differences import HEADER_DIFFERENCES

TEXT = (Path(__file__).parents[2] / "docs/protocols.md").read_text(encoding="utf-8")
EXAMPLES = examples_of(TEXT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server as the document describes it."""
    folder = tmp_path_factory.mktemp("protocols")
    for name in ("colour", "spare"):
        publish_colour_model(folder / "models", name)
    flags = ["--model_repository", str(folder / "models"), "--allow_shared_memory", "true"]
    flags += ["--model_control_mode", "explicit", "--load_model", "colour"]
    with live_server(folder / "log", *flags, "--provider=cpu", "--precision=fp32") as running:
        yield running


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example_prints_what_the_document_says(
    server: LiveServer, tmp_path: Path, example: Example
) -> None:
    if example.language == "sh" and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    Image.new("RGB", (8, 8), (160, 0, 0)).save(tmp_path / "picture.png")
    ports = {"localhost:8080": server.http_port, "localhost:8081": server.grpc_port}
    replaced = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    needs_boto3 = "import boto3" in example.code
    if needs_boto3 and not PYTHON.exists():
        pytest.skip("boto3 is not installed; `make sagemaker` does it")
    got = example.run(tmp_path, replaced, PYTHON if needs_boto3 else sys.executable)
    assert prints(got, example.output), got


def test_every_block_of_code_has_its_output() -> None:
    assert code_without_output(TEXT) == []
    assert {example.language for example in EXAMPLES} == {"sh", "python"}


def test_every_meant_difference_from_triton_is_listed() -> None:
    rows = set(TEXT.splitlines())
    for difference in (*DIFFERENCES, *HEADER_DIFFERENCES, *GRPC_DIFFERENCES):
        assert f"| {difference.what} | {difference.why} |" in rows
    in_configurations = TEXT.partition("### In config.pbtxt")[2].count("\n| ") - 2
    assert in_configurations == len(FORGIVEN)
