"""Start, readiness, broken models, load, and an orderly end."""

import base64
import concurrent.futures
import io
import signal
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.live_server import LiveServer, live_server, start_server, wait_for, wait_until
from tests.picture_files import instances, noise_png
from tests.tiny_models import publish_colour_model

PREDICT = "/v1/models/{}:predict"


def test_a_broken_model_is_named_and_the_others_serve(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    publish_colour_model(repository, "good")
    (publish_colour_model(repository, "broken") / "1" / "model.onnx").write_bytes(b"no model")
    (repository / "empty").mkdir()
    (repository / "lost+found").mkdir()
    bare = publish_colour_model(repository, "bare") / "config.pbtxt"
    bare.write_text(bare.read_text().partition("output {")[0])
    server = start_server(tmp_path / "log", "--model_repository", str(repository))
    try:
        wait_for(server, "/v2/models/good/ready")
        wait_for(server, "/v2/health/live")
        assert httpx.get(server.url + "/v2/health/ready").status_code == 503
        body = instances(noise_png(0))
        assert httpx.post(server.url + PREDICT.format("good"), json=body).status_code == 200
        refused = httpx.post(server.url + PREDICT.format("broken"), json=body)
        assert refused.status_code == 503
        assert "onnxruntime cannot load it" in refused.json()["error"]
        rows = {row["name"]: row for row in httpx.post(server.url + "/v2/repository/index").json()}
        assert rows["good"]["state"] == "READY"
        assert rows["broken"]["state"] == rows["empty"]["state"] == "UNAVAILABLE"
        assert "onnxruntime cannot load it" in rows["broken"]["reason"]
        assert "under the version policy of model 'empty'" in rows["empty"]["reason"]
        assert rows["bare"]["state"] == "READY", "without a task it is a model of tensors"
        assert "lost+found" not in rows
        only_ready = httpx.post(server.url + "/v2/repository/index", json={"ready": True}).json()
        assert [row["name"] for row in only_ready] == ["bare", "good"]
        refused = httpx.post(server.url + "/inference", json=body)
        assert refused.status_code == 400
        assert "bare, broken, empty, good" in refused.json()["error"]
    finally:
        assert server.stop() == 0
    assert "cannot serve model=broken" in server.log.read_text()


def row_of_the_index(server: LiveServer) -> dict[str, str]:
    """What the index of a single model says."""
    row: dict[str, str]
    (row,) = httpx.post(server.url + "/v2/repository/index").json()
    return row


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (("config.pbtxt", "dims: 8", "dims: 9"), "config.pbtxt says UINT8 [batch, 9, 9, 3]"),
        (("config.pbtxt", '"scores"', '"logits"'), "has no output 'logits'"),
        (
            ("config.pbtxt", "image-classification", "image-divination"),
            "task is 'image-divination'",
        ),
        (("config.pbtxt", "max_batch_size: 8", "max_batch_size: 0"), "expected 1 or more"),
        (("config.pbtxt", "max_batch_size", "max_bat_size"), "is not a Triton model configuration"),
        (("labels.txt", "green\n", ""), "2 labels for 3 classes"),
        (("config.pbtxt", "TYPE_UINT8", "TYPE_FP32"), "the first input of config.pbtxt is not"),
        (("config.pbtxt", "  dims: 8\n  dims: 8\n", "  dims: 8\n"), "expected [H, W, 3]"),
        (("labels.txt", "green", "red"), "more than once"),
    ],
)
def test_the_index_says_what_is_wrong_with_a_model(
    tmp_path: Path, damage: tuple[str, str, str], reason: str
) -> None:
    model_dir = publish_colour_model(tmp_path / "repository", "m")
    file, old, new = damage
    text = (model_dir / file).read_text()
    assert old in text
    (model_dir / file).write_text(text.replace(old, new))
    server = start_server(tmp_path / "log", "--model_dir", str(model_dir), "--model_name", "m")
    try:
        wait_for(server, "/v1/models/m", 503)
        wait_until(lambda: row_of_the_index(server)["state"] != "LOADING")
        row = row_of_the_index(server)
        assert row["state"] == "UNAVAILABLE"
        assert reason in row["reason"]
    finally:
        assert server.stop() == 0


def test_one_models_folder_is_served_under_the_given_name(tmp_path: Path) -> None:
    model_dir = publish_colour_model(tmp_path / "repository", "colour")
    flags = ["--model_dir", str(model_dir), "--model_name", "hue"]
    with live_server(tmp_path / "log", *flags) as server, server.client() as http:
        assert http.post(PREDICT.format("hue"), json=instances(noise_png(0))).status_code == 200
        assert http.get("/v2/models/hue/config").json()["name"] == "hue"
        assert http.get("/v1/models").json() == {"models": ["hue"]}


def test_model_dir_may_also_hold_a_whole_repository(tmp_path: Path) -> None:
    for name in ("a", "b"):
        publish_colour_model(tmp_path / "models", name)
    with live_server(tmp_path / "log", "--model_dir", str(tmp_path / "models")) as server:
        assert httpx.get(server.url + "/v1/models").json() == {"models": ["a", "b"]}


def test_the_newest_version_is_served(tmp_path: Path) -> None:
    for _ in range(11):
        publish_colour_model(tmp_path / "models", "m")
    with live_server(tmp_path / "log", "--model_repository", str(tmp_path / "models")) as server:
        assert httpx.get(server.url + "/v2/models/m").json()["versions"] == ["11"]


def large_pictures(count: int) -> dict[str, list[dict[str, str]]]:
    """Pictures that take a while to decode."""
    buffer = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (900, 1100, 3), dtype=np.uint8)).save(buffer, "PNG")
    return {"instances": [{"data": base64.b64encode(buffer.getvalue()).decode()}] * count}


def test_health_answers_while_pictures_are_decoded(tmp_path: Path) -> None:
    publish_colour_model(tmp_path / "repository", "m")
    with (
        live_server(tmp_path / "log", "--model_repository", str(tmp_path / "repository")) as server,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
        server.client() as http,
    ):
        busy = pool.submit(http.post, PREDICT.format("m"), json=large_pictures(12))
        answered_meanwhile = 0
        while not busy.done():
            assert httpx.get(server.url + "/v2/health/ready").status_code == 200
            answered_meanwhile += 1
        assert busy.result().status_code == 200
        # A server that blocks its event loop answers once, at the end.
        assert answered_meanwhile > 5


def test_sigterm_turns_readiness_off_and_finishes_the_requests_under_way(tmp_path: Path) -> None:
    publish_colour_model(tmp_path / "repository", "m")
    flags = ["--model_repository", str(tmp_path / "repository"), "--shutdown_delay", "5"]
    server = start_server(tmp_path / "log", *flags)
    try:
        wait_for(server)
        with concurrent.futures.ThreadPoolExecutor(1) as pool, server.client() as http:
            under_way = pool.submit(http.post, PREDICT.format("m"), json=large_pictures(8))
            while not under_way.running():
                pass
            server.process.send_signal(signal.SIGTERM)
            wait_for(server, status=503)
            live = httpx.get(server.url + "/v2/health/live")
            assert live.status_code == 200
            assert live.headers["Connection"] == "close"  # the next request takes another server
            assert under_way.result().status_code == 200
            assert under_way.result().headers["Connection"] == "close"
        assert server.process.wait(timeout=30) == 0
    finally:
        server.process.kill()
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url + "/v2/health/live")


def test_sigterm_does_not_wait_for_a_load(tmp_path: Path) -> None:
    long = (
        'model_warmup { name: "w" batch_size: 4096 count: 10000 inputs { key: "image" '
        "value { data_type: TYPE_UINT8 dims: [8, 8, 3] zero_data: true } } }"
    )
    without_effect = 'instance_group { host_policy: "none" }'  # named in the log as a load begins
    for name in map(str, range(20)):  # which take a minute each, or seconds
        model_dir = publish_colour_model(tmp_path / "models", name, max_batch_size=4096)
        config = model_dir / "config.pbtxt"
        config.write_text(config.read_text() + long + without_effect)
    server = start_server(tmp_path / "log", "--model_repository", str(tmp_path / "models"))
    try:
        wait_for(server, "/v2/health/live")
        wait_until(lambda: "host_policy" in server.log.read_text())
        assert server.stop() == 0
        assert "still being loaded, or looked for; its load is given up" in server.log.read_text()
    finally:
        if server.process.poll() is None:
            server.process.kill()


def test_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    publish_colour_model(tmp_path / "repository", "m")
    flags = ["--model_repository", str(tmp_path / "repository"), "--shutdown_delay", "1000"]
    server = start_server(tmp_path / "log", *flags)
    wait_for(server)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(timeout=30) == 0


def test_a_taken_port_is_one_clear_line(tmp_path: Path, server: LiveServer) -> None:
    publish_colour_model(tmp_path / "repository", "m")
    flags = ["--model_repository", str(tmp_path / "repository")]
    for flag, port in (("--http_port", server.http_port), ("--grpc_port", server.grpc_port)):
        second = start_server(tmp_path / "log", *flags, flag, str(port))
        assert second.process.wait(timeout=60) == 1
        lines = [line for line in second.log.read_text().splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        assert str(port) in lines[0]
        assert "Traceback" not in second.log.read_text()


def test_nothing_is_noted_or_sent_about_its_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime 1.29 and later do, by a file of the home folder, if it is not forbidden."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    publish_colour_model(tmp_path / "repository", "colour")
    with live_server(tmp_path / "log", "--model_repository", str(tmp_path / "repository")):
        assert list(home.rglob("*")) == []
