"""The response cache beside tritonserver's own: what a hit and a miss count, and the differences."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from onnx import TensorProto, helper
from prometheus_client.parser import text_string_to_metric_families

from tests.live_server import LiveServer, free_port, live_server, wait_until
from tests.onnx_graphs import write_graph
from tests.triton.models import write_models
from tests.triton.reference import BINARY, live_triton

CACHE: Final = "--cache-config=local,size=1048576"
NAMES: Final = ("simple", "labelled", "strings", "versions", "unbatched", "picky")


@dataclass(frozen=True, slots=True)
class Server:
    """A server with a response cache, its metrics, and its repository."""

    live: LiveServer
    metrics_url: str
    repository: Path

    def ask(self, path: str, *inputs: dict[str, Any], **more: Any) -> tuple[int, dict[str, Any]]:
        """The status, and the outputs by name."""
        body = {"inputs": inputs, **more}
        response = httpx.post(f"{self.live.url}/v2/models/{path}/infer", json=body, timeout=30)
        outputs = response.json().get("outputs", [])
        return response.status_code, {entry["name"]: entry["data"] for entry in outputs}

    def counts(self, model: str) -> dict[str, Any]:
        """The counts of the statistics."""
        (entry,) = httpx.get(f"{self.live.url}/v2/models/{model}/stats").json()["model_stats"]
        counts = {name: one["count"] for name, one in entry["inference_stats"].items()}
        batches = {one["batch_size"]: one["compute_infer"]["count"] for one in entry["batch_stats"]}
        rows = {key: entry[key] for key in ("inference_count", "execution_count")}
        return {**counts, **rows, "batches": batches}


def tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def simple(number: int, rows: int = 1) -> list[dict[str, Any]]:
    data = [number] * 16 * rows
    return [tensor(f"INPUT{index}", "INT32", [rows, 16], data) for index in (0, 1)]


def values(first: float) -> dict[str, Any]:
    return tensor("values", "FP32", [1, 5], [first, 5, 2, 3, 4])


def write_repository(repository: Path) -> None:
    """The models of models.py with a cache, and `picky`, which fails where its input is over 2."""
    write_models(repository)
    folder = repository / "picky"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(
        'name: "picky"\nplatform: "onnxruntime_onnx"\nmax_batch_size: 4\n'
        'input { name: "index" data_type: TYPE_INT64 dims: [1] }\n'
        'output { name: "found" data_type: TYPE_FP32 dims: [1] }\n'
    )
    value = helper.make_tensor_value_info
    table = helper.make_tensor("table", TensorProto.FLOAT, [3], [1, 2, 3])
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "index"], ["found"])],
        "picky",
        [value("index", TensorProto.INT64, ["batch", 1])],
        [value("found", TensorProto.FLOAT, ["batch", 1])],
        [table],
    )
    write_graph(folder / "1" / "model.onnx", graph)
    for name in NAMES:
        config = repository / name / "config.pbtxt"
        config.write_text(config.read_text() + "response_cache { enable: true }\n")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """tritonserver and ours."""
    folder = tmp_path_factory.mktemp("caches")
    for name in ("triton", "ours"):
        write_repository(folder / name)
    flags = ["--model-control-mode=explicit", *(f"--load-model={name}" for name in NAMES), CACHE]
    port = free_port()
    own = [f"--cache-directory={BINARY.parents[1] / 'caches'}", "--allow-metrics=true"]
    own += [f"--metrics-port={port}"]
    ours = ["--model-repository", str(folder / "ours"), "--provider=cpu", "--precision=fp32"]
    with (
        live_triton(folder, folder / "triton", *flags, *own) as triton,
        live_server(folder / "log", *ours, *flags) as running,
    ):
        yield (
            Server(triton, f"http://127.0.0.1:{port}/metrics", folder / "triton"),
            Server(running, f"{running.url}/metrics", folder / "ours"),
        )


def test_hits_and_misses_count_the_same(servers: tuple[Server, Server]) -> None:
    """Equal inputs by any id and parameters; other rows; strings; no batch axis."""
    asks: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = [
        *[("simple", simple(number), {}) for number in (1, 1, 2, 1)],
        ("simple", list(reversed(simple(1))), {"id": "x"}),
        ("simple", simple(1), {"parameters": {"priority": 1, "timeout": 9_000_000, "other": "y"}}),
        *[("simple", simple(3, rows=3), {})] * 2,
        ("simple", [], {}),
        *[("labelled", [values(1)], {})] * 2,
        *[("strings", [tensor("text", "BYTES", [1, 2], list(text))], {}) for text in ("ab", "ab")],
        *[("unbatched", [tensor("rows", "FP32", [2, 3], [1, 2, 3, 4, 5, 6])], {})] * 2,
    ]
    answers = [
        [server.ask(path, *inputs, **more) for path, inputs, more in asks] for server in servers
    ]
    assert answers[0] == answers[1]
    for model in ("simple", "labelled", "strings", "unbatched"):
        assert equal_counts(servers, model)["cache_hit"] > 0


def equal_counts(servers: tuple[Server, Server], model: str) -> dict[str, Any]:
    """The counts of both servers; tritonserver answers before it counts, so it may take a while."""
    theirs, ours = servers
    counts = ours.counts(model)
    wait_until(lambda: bool(theirs.counts(model)["success"] >= counts["success"]))
    assert theirs.counts(model) == counts
    return counts


def test_what_is_larger_than_the_cache_counts_the_same(servers: tuple[Server, Server]) -> None:
    large = tensor("text", "BYTES", [1, 1], ["x" * 1_100_000])
    for server in servers:
        assert [server.ask("strings", large)[0] for _ in range(2)] == [200, 200]
    equal_counts(servers, "strings")


def test_a_failure_is_not_kept_where_triton_answers_the_next_with_200_and_no_outputs(
    servers: tuple[Server, Server],
) -> None:
    bad = tensor("index", "INT64", [1, 1], [7])
    theirs, ours = ([server.ask("picky", bad) for _ in range(2)] for server in servers)
    assert (theirs, ours) == ([(500, {}), (200, {})], [(500, {}), (500, {})])
    misses = [server.counts("picky")["cache_miss"] for server in servers]
    assert misses == [1, 2]


def cache_metrics(server: Server) -> dict[str, tuple[str, str, set[frozenset[tuple[str, str]]]]]:
    """Type, help text and labels of each metric of the cache."""
    text = httpx.get(server.metrics_url).text
    return {
        family.name: (
            family.type,
            family.documentation,
            {frozenset(one.labels.items()) for one in family.samples},
        )
        for family in text_string_to_metric_families(text)
        if family.name.startswith("nv_cache")
    }


def test_the_metrics_are_tritons(servers: tuple[Server, Server]) -> None:
    theirs, ours = map(cache_metrics, servers)
    assert theirs == ours
    assert "nv_cache_num_hits_per_model" in ours


def test_other_outputs_are_as_asked_where_triton_answers_those_of_the_first(
    servers: tuple[Server, Server],
) -> None:
    answers = []
    for server in servers:
        server.ask("labelled", values(8), outputs=[{"name": "plain"}])
        _, outputs = server.ask("labelled", values(8), outputs=[{"name": "scores"}])
        answers.append(list(outputs))
    assert answers == [["plain"], ["scores"]]


def test_a_reloaded_version_runs_where_triton_answers_from_the_old_ones_entries(
    servers: tuple[Server, Server],
) -> None:
    number = tensor("number", "FP32", [1, 1], [1])
    for server in servers:
        assert server.ask("versions/versions/3", number) == (200, {"sum": [4.0]})
        folder = server.repository / "versions"
        shutil.copy(folder / "1" / "model.onnx", folder / "3" / "model.onnx")
        repository = f"{server.live.url}/v2/repository/models/versions"
        assert httpx.post(f"{repository}/unload").status_code == 200
        assert httpx.post(f"{repository}/load", timeout=60).status_code == 200
    theirs, ours = (server.ask("versions/versions/3", number) for server in servers)
    assert (theirs, ours) == ((200, {"sum": [4.0]}), (200, {"sum": [2.0]}))
