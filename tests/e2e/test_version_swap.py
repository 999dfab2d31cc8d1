"""Versions come and go under a steady load over every protocol, and no answer is harmed."""

from pathlib import Path

import httpx

from tests.live_server import live_server, wait_until
from tests.steady_load import check_versions, index, same, serves, steady_load
from tests.tiny_models import publish_colour

REFUSALS = {
    (status, text)
    for statuses, text in (
        (("[404", "NOT_FOUND"), "Request for unknown model: 'm' has no available versions"),
        (("[503", "UNAVAILABLE"), "model 'm' is not ready: loading"),
    )
    for status in statuses
}


def test_new_versions_take_over_without_an_error(tmp_path: Path, png_files: list[Path]) -> None:
    root = tmp_path / "models"
    publish_colour(root, 16)
    flags = ["--model_repository", str(root), "--model_control_mode", "poll", "--precision", "fp32"]
    with (
        live_server(tmp_path / "log", *flags, "--repository_poll_secs", "1") as server,
        steady_load(server, "m", png_files) as load,
    ):
        wait_until(lambda: serves(server, "m", 1))
        publish_colour(root, 32)
        wait_until(lambda: serves(server, "m", 2))
        (root / "m" / "3").mkdir()
        (root / "m" / "3" / "model.onnx").write_bytes(b"no model")
        wait_until(lambda: index(server).get("3", {}).get("state") == "UNAVAILABLE")
        assert index(server)["2"]["state"] == "READY"
        assert httpx.get(server.url + "/v2/health/ready").status_code == 200
        publish_colour(root, 64)
        wait_until(lambda: serves(server, "m", 4))
        found = load.stop()
        wait_until(lambda: index(server)["1"]["state"] == "UNAVAILABLE")
    check_versions(found, [16, 32, 64])


def test_an_unload_under_load_refuses_and_breaks_no_answer(
    tmp_path: Path, png_files: list[Path]
) -> None:
    root = tmp_path / "models"
    publish_colour(root, 16)
    flags = ["--model_repository", str(root), "--model_control_mode", "explicit"]
    flags += ["--load_model", "m", "--precision", "fp32"]
    with (
        live_server(tmp_path / "log", *flags) as server,
        server.client() as http,
        steady_load(server, "m", png_files) as load,
    ):
        for _ in range(3):
            wait_until(lambda: serves(server, "m", 1))
            assert http.post("/v2/repository/models/m/unload").status_code == 200
            wait_until(lambda: index(server)["1"]["state"] == "UNAVAILABLE")
            assert http.post("/v2/repository/models/m/load").status_code == 200
        wait_until(lambda: serves(server, "m", 1))
        found = load.stop()
    for protocol, asked in found.items():
        assert all(same(answer, 16) for answer in asked["answers"]), protocol
        assert asked["errors"], protocol
        for error in asked["errors"]:
            status, _, text = error.partition("] ")
            assert (status.removeprefix("[StatusCode."), text) in REFUSALS, error
