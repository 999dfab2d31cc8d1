"""The response cache of a live server: every protocol shares its entries, and none goes stale."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from server.protocol import oip_pb2 as oip
from tests.e2e.grpc_calls import call
from tests.e2e.random_models import publish_detector, publish_segmenter
from tests.e2e.scraped import scrape
from tests.live_server import LiveServer, live_server
from tests.picture_files import as_text, china_jpeg, instances, noise_png
from tests.triton.models import write_models

NAMES = ("colour", "labelled", "versions", "blocks", "boxes")
RAW = {"Inference-Header-Content-Length": "0"}


@dataclass(frozen=True, slots=True)
class Cached:
    """A server with a response cache, a client of it, and the repository."""

    server: LiveServer
    http: httpx.Client
    repository: Path

    def stats(self, model: str, version: str = "1") -> dict[str, Any]:
        """The counts of the statistics."""
        path = f"/v2/models/{model}/versions/{version}/stats"
        (entry,) = self.http.get(path).json()["model_stats"]
        counts = {name: one["count"] for name, one in entry["inference_stats"].items()}
        return counts | {key: entry[key] for key in ("inference_count", "execution_count")}

    def infer(self, model: str, body: dict[str, Any], version: str = "") -> dict[str, Any]:
        """The outputs of a V2 request, by name."""
        path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
        response = self.http.post(path, json=body)
        assert response.status_code == 200, response.text
        return {entry["name"]: entry["data"] for entry in response.json()["outputs"]}


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cached]:
    folder = tmp_path_factory.mktemp("cached")
    repository = folder / "repository"
    write_models(repository)
    publish_segmenter(repository, "blocks", "segformer-tiny", 64)
    publish_detector(repository, "boxes", "detr-tiny", 64)
    for name in NAMES:
        enable(repository / name)
    flags = ["--model-repository", str(repository), "--precision=fp32", "--provider=cpu"]
    flags += ["--model-control-mode=explicit", "--cache-config=local,size=4000000"]
    flags += [f"--load-model={name}" for name in NAMES]
    with live_server(folder / "log", *flags) as server, server.client() as http:
        yield Cached(server, http, repository)


def enable(model_dir: Path) -> None:
    config = model_dir / "config.pbtxt"
    config.write_text(config.read_text() + "response_cache { enable: true }\n")


def values(*numbers: float) -> dict[str, Any]:
    tensor = {"name": "values", "datatype": "FP32", "shape": [1, 5], "data": numbers}
    return {"inputs": [tensor]}


def scores_by_every_surface(cached: Cached, picture: bytes) -> list[list[float]]:
    """The colour model's scores in the order of its labels, asked for in six ways."""
    bodies = instances(picture)
    order = ("red", "green", "blue")
    (v1,) = cached.http.post("/v1/models/colour:predict", json=bodies).json()["predictions"]
    bare = cached.http.post("/inference", json=bodies, params={"model": "colour"}).json()
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [as_text(picture)]}
    named = [{entry["label"]: entry["score"] for entry in answer} for answer in (v1, bare)]
    scores = [[one[label] for label in order] for one in named]
    scores.append(cached.infer("colour", {"inputs": [tensor]})["scores"])
    as_column = {"inputs": [{**tensor, "shape": [1, 1]}]}
    scores.append(cached.infer("colour", as_column, "1")["scores"])
    raw = cached.http.post("/v2/models/colour/infer", content=picture, headers=RAW)
    length = int(raw.headers["Inference-Header-Content-Length"])
    scores.append(np.frombuffer(raw.content[length:], np.float32).tolist())
    message = oip.ModelInferRequest(
        model_name="colour",
        inputs=[oip.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])],
        raw_input_contents=[len(picture).to_bytes(4, "little") + picture],
    )
    with grpc.insecure_channel(f"127.0.0.1:{cached.server.grpc_port}") as channel:
        answer = call(channel, "ModelInfer", message)
    scores.append(np.frombuffer(answer.raw_output_contents[0], np.float32).tolist())
    return scores


def test_all_protocols_share_an_entry(cached: Cached) -> None:
    before = cached.stats("colour")
    first, *others = scores_by_every_surface(cached, china_jpeg())
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-6)
    after = cached.stats("colour")
    assert after["execution_count"] - before["execution_count"] == 1
    assert after["inference_count"] - before["inference_count"] == 1
    assert after["cache_miss"] - before["cache_miss"] == 1
    assert after["cache_hit"] - before["cache_hit"] == len(others)
    for stage in ("success", "queue"):
        assert after[stage] - before[stage] == 1 + len(others)
    for stage in ("compute_input", "compute_infer", "compute_output"):
        assert after[stage] - before[stage] == 1


@pytest.mark.parametrize("task", ["blocks", "boxes"])
def test_a_hit_answers_what_the_miss_did(cached: Cached, task: str) -> None:
    """The size of the picture as sent, too, though the picture is not decoded again."""
    body: dict[str, Any] = {**instances(china_jpeg(), noise_png(1, 40, 20))}
    if task == "blocks":
        body["parameters"] = {"size": "original"}
    before = cached.stats(task)["execution_count"]
    miss, hit = (cached.http.post(f"/v1/models/{task}:predict", json=body) for _ in range(2))
    assert (miss.status_code, miss.content) == (200, hit.content)
    ran = cached.stats(task)["execution_count"] - before
    assert ran > 0
    other = cached.http.post(f"/v1/models/{task}:predict", json=instances(noise_png(2)))
    assert other.content != hit.content
    again = cached.http.post(f"/v1/models/{task}:predict", json=body)
    assert again.content == miss.content
    assert cached.stats(task)["execution_count"] - before == ran + 1
    if task == "blocks":
        shapes = [(len(rows), len(rows[0])) for rows in hit.json()["predictions"]]
        assert shapes == [(427, 640), (20, 40)]


def test_parameters_of_an_answer_share_the_entry(cached: Cached) -> None:
    picture = noise_png(7)
    body = instances(picture)
    rows = cached.http.post("/v1/models/blocks:predict", json=body).json()
    ran = cached.stats("blocks")["execution_count"]
    runs = {**body, "parameters": {"format": "rle"}}
    assert cached.http.post("/v1/models/blocks:predict", json=runs).json() != rows
    assert cached.stats("blocks")["execution_count"] == ran


def test_outputs_and_classes_are_as_asked_whatever_was_asked_first(cached: Cached) -> None:
    """Where Triton answers the outputs of the first request to all."""
    body = values(1, 5, 2, 3, 4)
    ran = cached.stats("labelled")["execution_count"]
    asked = [{"name": "scores", "parameters": {"classification": 2}}]
    top = {"scores": ["5.000000:1:one", "4.000000:4:four"]}
    assert cached.infer("labelled", {**body, "outputs": asked}) == top
    numbers = [1.0, 5.0, 2.0, 3.0, 4.0]
    plain = {**body, "outputs": [{"name": "plain"}], "id": "7", "parameters": {"priority": 1}}
    assert cached.infer("labelled", plain) == {"plain": numbers}
    assert cached.infer("labelled", body) == dict.fromkeys(("scores", "plain", "coded"), numbers)
    assert cached.infer("labelled", {**body, "outputs": asked}) == top
    assert cached.stats("labelled")["execution_count"] == ran + 1


def test_what_is_refused_is_not_kept(cached: Cached) -> None:
    before, entries = cached.stats("colour"), scrape(cached.http.get("/metrics").text)
    for rubbish in (b"rubbish", noise_png(1)[:60], noise_png(1)[:60]):
        body = instances(noise_png(50), rubbish)
        response = cached.http.post("/v1/models/colour:predict", json=body)
        assert response.status_code == 400
        assert "instance 1" in response.json()["error"]
    after = cached.stats("colour")
    assert after["fail"] - before["fail"] == 3
    assert after["cache_hit"] == before["cache_hit"]
    name = "nv_cache_num_entries"
    assert scrape(cached.http.get("/metrics").text)[name] == entries[name]


def test_versions_do_not_mix_and_a_reload_forgets(cached: Cached) -> None:
    """Where Triton answers a reloaded version's requests from the old one's entries."""
    tensor = {"name": "number", "datatype": "FP32", "shape": [1, 1], "data": [4]}
    body = {"inputs": [tensor]}
    for _ in range(2):
        assert cached.infer("versions", body, "1") == {"sum": [5.0]}
        assert cached.infer("versions", body, "3") == {"sum": [7.0]}
        assert cached.infer("versions", body) == {"sum": [7.0]}
    assert cached.stats("versions", "3")["execution_count"] == 1
    folder = cached.repository / "versions"
    shutil.copy(folder / "1" / "model.onnx", folder / "3" / "model.onnx")
    assert cached.http.post("/v2/repository/models/versions/load").status_code == 200
    assert cached.infer("versions", body, "3") == {"sum": [5.0]}
    assert cached.infer("versions", body, "1") == {"sum": [5.0]}
    shutil.copy(folder / "2" / "model.onnx", folder / "3" / "model.onnx")
    assert cached.http.post("/v2/repository/models/versions/unload").status_code == 200
    assert cached.http.post("/v2/repository/models/versions/load").status_code == 200
    assert cached.infer("versions", body) == {"sum": [6.0]}


def test_metrics_and_grpc_tell_what_the_statistics_tell(cached: Cached) -> None:
    cached.infer("labelled", values(9, 9, 9, 9, 9))
    cached.infer("labelled", values(9, 9, 9, 9, 9))
    (entry,) = cached.http.get("/v2/models/labelled/stats").json()["model_stats"]
    stats = entry["inference_stats"]
    read = scrape(cached.http.get("/metrics").text)
    with grpc.insecure_channel(f"127.0.0.1:{cached.server.grpc_port}") as channel:
        request = oip.ModelStatisticsRequest(name="labelled")
        (message,) = call(channel, "ModelStatistics", request).model_stats
    for name, metric in (("cache_hit", "hit"), ("cache_miss", "miss")):
        assert stats[name]["count"] > 0
        duration = getattr(message.inference_stats, name)
        assert (duration.count, duration.ns) == (stats[name]["count"], stats[name]["ns"])
        many = {"hit": "hits", "miss": "misses"}[metric]
        assert read[f"nv_cache_num_{many}_per_model labelled 1"] == duration.count
        assert read[f"nv_cache_{metric}_duration_per_model labelled 1"] == duration.ns // 1000
    assert read["nv_cache_num_lookups"] == read["nv_cache_num_hits"] + read["nv_cache_num_misses"]
    assert 0 < read["nv_cache_util"] <= 1
    assert read["nv_cache_num_entries"] > 0


def test_entries_make_room_and_what_is_larger_than_the_cache_is_answered(cached: Cached) -> None:
    picture = noise_png(1)
    before = scrape(cached.http.get("/metrics").text)
    many = {"inputs": [{"name": "values", "datatype": "FP32", "shape": [8, 5], "data": [1] * 40}]}
    for seed in range(300):
        many["inputs"][0]["data"] = [seed] * 40
        cached.infer("labelled", many)
    large = instances(*[picture] * 60)  # 60 label maps with their logits
    answers = [cached.http.post("/v1/models/blocks:predict", json=large) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    after = scrape(cached.http.get("/metrics").text)
    assert after["nv_cache_util"] <= 1
    assert after["nv_cache_num_misses_per_model labelled 1"] == (
        before["nv_cache_num_misses_per_model labelled 1"] + 300
    )


def test_without_the_flag_a_model_that_asks_is_served_uncached(tmp_path: Path) -> None:
    write_models(tmp_path / "repository")
    enable(tmp_path / "repository" / "labelled")
    flags = ["--model-repository", str(tmp_path / "repository"), "--provider=cpu"]
    flags += ["--model-control-mode=explicit", "--load-model=labelled", "--load-model=simple"]
    with live_server(tmp_path / "log", *flags) as server, server.client() as http:
        plain = Cached(server, http, tmp_path)
        for _ in range(2):
            plain.infer("labelled", values(1, 2, 3, 4, 5))
        stats = plain.stats("labelled")
        read = scrape(http.get("/metrics").text)
        log = server.log.read_text()
    assert (stats["execution_count"], stats["cache_hit"], stats["cache_miss"]) == (2, 0, 0)
    assert read["nv_cache_num_hits_per_model labelled 1"] == 0
    assert "nv_cache_num_hits_per_model simple 1" not in read
    assert "nv_cache_util" not in read
    assert "model=labelled version=1 asks for the response cache" in log
    assert "model=simple version=1 asks" not in log
