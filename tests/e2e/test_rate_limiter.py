"""Two models that share a resource: their runs, as the traces of a live server tell them."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from tests.bright_is_slow import publish_slow_model
from tests.e2e.trace_receiver import Received, attributes
from tests.live_server import live_server
from tests.picture_files import encode, instances

RESOURCE = 'rate_limiter { resources { name: "memory" count: 1 } }'
MODELS = ("one", "other")
REQUESTS = 6


def run_intervals(folder: Path, received: Received, *flags: str) -> list[tuple[int, int, str]]:
    """Beginning, end and model of each run, in ns, when clients ask both models at once."""
    for name in MODELS:
        config = publish_slow_model(folder / "repository", name) / "config.pbtxt"
        config.write_text(f"{config.read_text()}instance_group {{ kind: KIND_CPU {RESOURCE} }}\n")
    body = instances(encode(Image.new("RGB", (8, 8), (60, 60, 60))))
    flags = ("--model_repository", str(folder / "repository"), "--provider", "cpu", *flags)
    with live_server(folder / "log", *flags) as server, server.client() as client:

        def ask(name: str) -> int:
            return client.post(f"/v1/models/{name}:predict", json=body).status_code

        with ThreadPoolExecutor(2 * REQUESTS) as pool:
            assert set(pool.map(ask, MODELS * REQUESTS)) == {200}
    parents = {span.span_id: attributes(span) for span in received.spans}
    runs = [span for span in received.spans if span.name == "infer"]
    assert len(runs) == 2 * REQUESTS
    return sorted(
        (
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            parents[span.parent_span_id]["triton.model_name"],
        )
        for span in runs
    )


def test_models_that_share_a_resource_never_run_at_once(tmp_path: Path, received: Received) -> None:
    runs = run_intervals(tmp_path, received, "--rate-limit=execution_count")
    assert {name for _, _, name in runs} == set(MODELS)
    for (_, end, _), (begin, _, _) in itertools.pairwise(runs):
        assert end <= begin


@pytest.mark.parametrize(
    "flags", [(), ("--rate-limit=execution_count", "--rate-limit-resource=memory:2")]
)
def test_without_the_limit_they_run_at_once(
    tmp_path: Path, received: Received, flags: tuple[str, ...]
) -> None:
    runs = run_intervals(tmp_path, received, *flags)
    assert any(
        begin < end and name != other
        for (_, end, name), (begin, _, other) in itertools.combinations(runs, 2)
    )
