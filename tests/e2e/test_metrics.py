"""GET /metrics of a live server: Triton's names, the statistics' numbers, no more and no less."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from server.statistics import FAILURE_REASONS
from tests.e2e.scraped import scrape
from tests.live_server import LiveServer, free_port, live_server
from tests.picture_files import instances, noise_png
from tests.tiny_models import publish_colour_model

PREDICT = "/v1/models/colour:predict"


@pytest.fixture
def explicit(tmp_path: Path) -> Iterator[LiveServer]:
    """A server of the models `colour` and `other`, which can be unloaded."""
    repository = tmp_path / "repository"
    publish_colour_model(repository, "colour")
    publish_colour_model(repository, "other")
    flags = ["--model_control_mode", "explicit", "--load_model", "*", "--precision", "fp32"]
    with live_server(tmp_path / "log", "--model_repository", str(repository), *flags) as server:
        yield server


def test_metrics_tell_what_the_statistics_tell(explicit: LiveServer) -> None:
    with explicit.client() as http:
        for count in (1, 2, 3):
            pictures = [noise_png(seed) for seed in range(count)]
            assert http.post(PREDICT, json=instances(*pictures)).status_code == 200
        assert http.post(PREDICT, json=instances(b"rubbish")).status_code == 400
        response = http.get("/metrics")
        (stats,) = http.get("/v2/models/colour/stats").json()["model_stats"]
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    read = scrape(response.text)
    assert read["nv_inference_request_success colour 1"] == 3
    assert read["nv_inference_count colour 1"] == stats["inference_count"] == 6
    assert read["nv_inference_exec_count colour 1"] == stats["execution_count"]
    assert read["nv_inference_pending_request_count colour 1"] == 0
    failed = [read[f"nv_inference_request_failure colour {why} 1"] for why in FAILURE_REASONS]
    assert sum(failed) == stats["inference_stats"]["fail"]["count"]
    assert read["nv_inference_count other 1"] == 0
    times = stats["inference_stats"]
    for name, stage in (
        ("request", "success"),
        ("queue", "queue"),
        ("compute_input", "compute_input"),
        ("compute_infer", "compute_infer"),
        ("compute_output", "compute_output"),
    ):
        assert read[f"nv_inference_{name}_duration_us colour 1"] == times[stage]["ns"] // 1000
    for stage in ("decode", "queue", "infer", "respond"):
        assert read[f"aperture_stage_seconds_count colour {stage} 1"] == 3
        assert read[f"aperture_stage_seconds_bucket +Inf colour {stage} 1"] == 3
    assert read["aperture_batch_size_sum colour 1"] == 6
    assert read["aperture_batch_size_count colour 1"] == stats["execution_count"]
    assert 0 < read["nv_cpu_memory_used_bytes"] < read["nv_cpu_memory_total_bytes"]
    assert "python_info" in response.text
    assert read["process_resident_memory_bytes"] > 0


def test_an_unloaded_model_leaves_the_metrics(explicit: LiveServer) -> None:
    with explicit.client() as http:
        assert 'model="other"' in http.get("/metrics").text
        assert http.post("/v2/repository/models/other/unload").status_code == 200
        text = http.get("/metrics").text
    assert 'model="other"' not in text
    assert 'model="colour"' in text


def test_metrics_on_a_port_of_their_own_are_there_alone(tmp_path: Path) -> None:
    publish_colour_model(tmp_path / "repository", "colour")
    port = free_port()
    flags = ["--model_repository", str(tmp_path / "repository"), "--metrics-port", str(port)]
    with live_server(tmp_path / "log", *flags) as server, server.client() as http:
        page = httpx.get(f"http://127.0.0.1:{port}/metrics")
        assert page.status_code == 200
        assert 'nv_inference_count{model="colour",version="1"} 0' in page.text
        assert http.get("/metrics").status_code == 404
        assert httpx.get(f"http://127.0.0.1:{port}/v2").status_code == 404


def test_metrics_can_be_left_out(tmp_path: Path) -> None:
    publish_colour_model(tmp_path / "repository", "colour")
    flags = ["--model_repository", str(tmp_path / "repository"), "--allow-metrics=false"]
    with live_server(tmp_path / "log", *flags) as server, server.client() as http:
        assert http.get("/metrics").status_code == 404


def has_ipv6() -> bool:
    """Whether a client of this machine reaches itself over IPv6."""
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 address of its own")
def test_rest_and_metrics_listen_on_ipv6_too(tmp_path: Path) -> None:
    publish_colour_model(tmp_path / "repository", "colour")
    metrics_port = free_port()
    flags = ["--model_repository", str(tmp_path / "repository"), "--precision", "fp32"]
    flags += ["--metrics_port", str(metrics_port)]
    with live_server(tmp_path / "log", *flags) as server:
        for host in ("127.0.0.1", "[::1]"):
            assert httpx.get(f"http://{host}:{server.http_port}/v2/health/ready").is_success
            assert "nv_inference_count" in httpx.get(f"http://{host}:{metrics_port}/metrics").text
