"""Requests of several protocols at once over a live server: shared runs, limits, and bad company."""

import concurrent.futures
import math
import socket
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from server.protocol import oip_pb2 as oip
from tests.colour_with_work import publish_slow_colour_model
from tests.live_server import LiveServer, live_server
from tests.picture_files import as_text, instances, noise, noise_png
from tests.tiny_models import LABELS, colour_scores

TOLERANCE = 1e-5
CLIENTS = 12

MODELS = {
    "measured": "dynamic_batching {}",
    "shared": "dynamic_batching { preferred_batch_size: 8 }",
    "preferred": "dynamic_batching { preferred_batch_size: 4 max_queue_delay_microseconds: 20000 }",
    "alone": "",
    "double": """dynamic_batching { preferred_batch_size: 8 }
        instance_group { count: 2 kind: KIND_CPU }""",
    "impatient": """dynamic_batching { default_queue_policy {
        default_timeout_microseconds: 60000000 allow_timeout_override: true } }""",
    "narrow": "dynamic_batching { default_queue_policy { max_queue_size: 1 } }",
}

Scores = NDArray[np.float64]


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("slow")
    for name, scheduling in MODELS.items():
        publish_slow_colour_model(folder / "repository", name, scheduling)
    flags = ("--model_repository", str(folder / "repository"), "--precision", "fp32")
    with live_server(folder / "log", *flags) as running:
        yield running


@pytest.fixture
def client(slow: LiveServer) -> Iterator[httpx.Client]:
    limits = httpx.Limits(max_connections=2 * CLIENTS)
    with httpx.Client(base_url=slow.url, timeout=60, limits=limits) as own:
        yield own


@pytest.fixture
def stub(slow: LiveServer) -> Iterator[Callable[[oip.ModelInferRequest], Any]]:
    with grpc.insecure_channel(f"127.0.0.1:{slow.grpc_port}") as channel:
        yield channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=oip.ModelInferRequest.SerializeToString,
            response_deserializer=oip.ModelInferResponse.FromString,
        )


def pixels_of(seeds: list[int]) -> NDArray[np.uint8]:
    return np.stack([noise(seed) for seed in seeds])


def tensor_of(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    data = pixels.reshape(-1).tolist()
    return {"name": "image", "shape": list(pixels.shape), "datatype": "UINT8", "data": data}


def ask_v1(client: httpx.Client, model: str, seeds: list[int]) -> Scores:
    body = instances(*map(noise_png, seeds))
    answers = client.post(f"/v1/models/{model}:predict", json=body).raise_for_status().json()
    by_label = [{one["label"]: one["score"] for one in answer} for answer in answers["predictions"]]
    return np.array([[scores[label] for label in LABELS] for scores in by_label])


def infer(client: httpx.Client, model: str, **body: Any) -> httpx.Response:
    return client.post(f"/v2/models/{model}/infer", json=body)


def ask_v2_files(client: httpx.Client, model: str, seeds: list[int]) -> Scores:
    data = [as_text(noise_png(seed)) for seed in seeds]
    tensor = {"name": "image", "shape": [len(seeds)], "datatype": "BYTES", "data": data}
    (output,) = infer(client, model, inputs=[tensor]).raise_for_status().json()["outputs"]
    return np.reshape(output["data"], output["shape"])


def ask_v2_tensor(client: httpx.Client, model: str, seeds: list[int]) -> Scores:
    response = infer(client, model, inputs=[tensor_of(pixels_of(seeds))])
    (output,) = response.raise_for_status().json()["outputs"]
    return np.reshape(output["data"], output["shape"])


def grpc_request(model: str, pixels: NDArray[np.uint8]) -> oip.ModelInferRequest:
    tensor = oip.ModelInferRequest.InferInputTensor(
        name="image", datatype="UINT8", shape=pixels.shape
    )
    return oip.ModelInferRequest(
        model_name=model, inputs=[tensor], raw_input_contents=[pixels.tobytes()]
    )


def statistics(client: httpx.Client, model: str) -> dict[str, Any]:
    (entry,) = client.get(f"/v2/models/{model}/stats").raise_for_status().json()["model_stats"]
    assert isinstance(entry, dict)
    return entry


def parameters(client: httpx.Client, model: str) -> dict[str, str]:
    shown = client.get(f"/v2/models/{model}/config").raise_for_status().json()["parameters"]
    return {key: value["string_value"] for key, value in shown.items()}


def count(entry: dict[str, Any], stage: str) -> int:
    value = entry["inference_stats"][stage]["count"]
    assert isinstance(value, int)
    return value


@pytest.mark.parametrize("model", ["shared", "preferred", "double"])
def test_requests_of_all_protocols_share_runs_and_get_their_own_answers(
    client: httpx.Client, stub: Callable[[oip.ModelInferRequest], Any], model: str
) -> None:
    def ask_grpc(_: httpx.Client, model: str, seeds: list[int]) -> Scores:
        response = stub(grpc_request(model, pixels_of(seeds)))
        scores = np.frombuffer(response.raw_output_contents[0], np.float32)
        return scores.reshape(-1, len(LABELS)).astype(np.float64)

    ways = (ask_v1, ask_v2_files, ask_v2_tensor, ask_grpc)
    rng = np.random.default_rng(0)
    requests = [rng.integers(0, 10_000, rng.integers(1, 4)).tolist() for _ in range(160)]
    before = statistics(client, model)
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        jobs = [
            pool.submit(ways[i % len(ways)], client, model, seeds)
            for i, seeds in enumerate(requests)
        ]
        for job, seeds in zip(jobs, requests, strict=True):
            np.testing.assert_allclose(
                job.result(), colour_scores(pixels_of(seeds)), atol=TOLERANCE
            )
    after = statistics(client, model)
    inferences = after["inference_count"] - before["inference_count"]
    executions = after["execution_count"] - before["execution_count"]
    assert inferences == sum(map(len, requests))
    assert executions < inferences
    for stage in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        assert count(after, stage) - count(before, stage) == len(requests)
        assert after["inference_stats"][stage]["ns"] > before["inference_stats"][stage]["ns"]
    assert (
        sum(batch["batch_size"] * batch["compute_infer"]["count"] for batch in after["batch_stats"])
        == after["inference_count"]
    )
    size = int(parameters(client, model)["execution_batch_size"])
    assert max(batch["batch_size"] for batch in after["batch_stats"]) <= size
    assert executions < sum(math.ceil(len(seeds) / size) for seeds in requests), "shared runs"


def test_without_dynamic_batching_each_request_has_its_own_run(client: httpx.Client) -> None:
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        jobs = [pool.submit(ask_v2_tensor, client, "alone", [i, i + 1]) for i in range(40)]
        for i, job in enumerate(jobs):
            expected = colour_scores(pixels_of([i, i + 1]))
            np.testing.assert_allclose(job.result(), expected, atol=TOLERANCE)
    entry = statistics(client, "alone")
    assert entry["execution_count"] == 40
    assert [batch["batch_size"] for batch in entry["batch_stats"]] == [2]


def test_the_measured_batch_size_is_in_the_configuration(client: httpx.Client) -> None:
    shown = parameters(client, "measured")
    size = int(shown["execution_batch_size"])
    measured = dict(part.split(": ") for part in shown["execution_batch_ms"].split(", "))
    assert str(size) in measured
    assert all(float(ms) > 0 for ms in measured.values())
    assert parameters(client, "preferred")["execution_batch_size"] == "4"
    assert "execution_batch_ms" not in parameters(client, "preferred")
    assert parameters(client, "alone")["execution_batch_size"] == "8"


def long_job(
    pool: concurrent.futures.Executor, client: httpx.Client, model: str
) -> "concurrent.futures.Future[Scores]":
    """A request of so many rows that others meet it in the queue."""
    return pool.submit(ask_v2_tensor, client, model, list(range(250)))


def test_a_queue_timeout_is_refused_and_harms_nobody_else(client: httpx.Client) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        busy = long_job(pool, client, "impatient")
        refused: list[httpx.Response] = []
        while not refused and not busy.done():
            response = infer(
                client,
                "impatient",
                inputs=[tensor_of(pixels_of([1]))],
                parameters={"timeout": 1000},
            )
            if response.status_code != 200:
                refused.append(response)
        patient = ask_v2_tensor(client, "impatient", [7])
    assert [response.status_code for response in refused] == [503]
    assert "Request timeout expired" in refused[0].json()["error"]
    assert refused[0].headers["Retry-After"] == "1"
    np.testing.assert_allclose(
        busy.result(), colour_scores(pixels_of(list(range(250)))), atol=TOLERANCE
    )
    np.testing.assert_allclose(patient, colour_scores(pixels_of([7])), atol=TOLERANCE)
    assert count(statistics(client, "impatient"), "fail") == 1


def test_a_full_queue_refuses_at_once_and_harms_nobody_else(client: httpx.Client) -> None:
    def ask(seed: int) -> httpx.Response:
        return infer(client, "narrow", inputs=[tensor_of(pixels_of([seed]))])

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        responses = [*pool.map(ask, range(120))]
    refused = [response for response in responses if response.status_code != 200]
    assert 0 < len(refused) < len(responses)
    for response in refused:
        assert response.status_code == 503
        assert "Exceeds maximum queue size" in response.json()["error"]
        assert response.headers["Retry-After"] == "1"
    for seed, response in enumerate(responses):
        if response.status_code == 200:
            (output,) = response.json()["outputs"]
            expected = colour_scores(pixels_of([seed]))[0]
            np.testing.assert_allclose(output["data"], expected, atol=TOLERANCE)
    assert count(statistics(client, "narrow"), "fail") == len(refused)


def test_bad_pictures_and_departed_clients_harm_nobody_else(
    slow: LiveServer, client: httpx.Client, stub: Any
) -> None:
    before = statistics(client, "shared")

    def bad(_: int) -> None:
        body = instances(noise_png(0), b"no picture")
        response = client.post("/v1/models/shared:predict", json=body)
        assert response.status_code == 400
        assert "instance 1" in response.json()["error"]

    def hang_up(seed: int) -> None:
        head = f"POST /v1/models/shared:predict HTTP/1.1\r\nHost: {slow.url}\r\n"
        body = httpx.Request("POST", slow.url, json=instances(noise_png(seed))).content
        with socket.create_connection(("127.0.0.1", slow.http_port)) as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def cancel(seed: int) -> None:
        call = stub.future(grpc_request("shared", pixels_of([seed] * 200)))
        call.cancel()
        assert call.code() == grpc.StatusCode.CANCELLED

    def good(seed: int) -> None:
        scores = ask_v1(client, "shared", [seed, seed + 1])
        np.testing.assert_allclose(
            scores, colour_scores(pixels_of([seed, seed + 1])), atol=TOLERANCE
        )

    ways = (good, bad, good, hang_up, good, cancel)
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        jobs = [pool.submit(ways[i % len(ways)], i) for i in range(20 * len(ways))]
        for job in jobs:
            job.result()
    good(1)
    after = statistics(client, "shared")
    assert count(after, "fail") - count(before, "fail") >= 20
    assert count(after, "success") - count(before, "success") >= 61
