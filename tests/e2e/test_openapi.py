"""The OpenAPI document tells what the server does; schemathesis finds no 5xx and no other answer."""

from collections.abc import Iterator

import httpx
import pytest

from server.protocol.operations import OPERATIONS
from tests.clients import run_client
from tests.live_server import LiveServer, live_server
from tests.tiny_models import publish_colour_model

EXAMPLES = 5  # a request's, of each kind: about half a minute in all
NO_REGIONS = ("/systemsharedmemory/register", "/systemsharedmemory/region/{region}")
NO_ENDPOINTS = ("/async-invocations", "/invocations-response-stream")
NEVER_200 = (*NO_REGIONS, *NO_ENDPOINTS, "/cudasharedmemory", "/{repository}/models")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("openapi")
    for name in ("colour", "spare"):
        publish_colour_model(folder / "repository", name)
    flags = ["--model_repository", str(folder / "repository"), "--provider=cpu"]
    flags += ["--model-control-mode=explicit", "--load-model=*", "--allow-shared-memory=true"]
    with live_server(folder / "log", *flags) as running:
        yield running


def test_schemathesis_finds_no_answer_that_the_document_lacks(server: LiveServer) -> None:
    counts = run_client("schemathesis_calls", server.url, str(EXAMPLES), timeout_s=300)
    asked = {f"{method} {path}" for method, path in OPERATIONS} - {"GET /openapi.json"}
    assert set(counts) == asked
    answered = {name for name, statuses in counts.items() if "200" in statuses}
    unanswered = {name for name in asked - answered if not any(part in name for part in NEVER_200)}
    assert not unanswered
    assert httpx.get(f"{server.url}/v2/health/ready").status_code == 200
