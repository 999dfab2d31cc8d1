"""ONNX models of any origin, in Triton's layout and in those that KServe mounts."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from contract.sessions import detect_machine
from tests.live_server import LiveServer, live_server, start_server, wait_for, wait_until
from tests.onnx_graphs import ELEMENT_OF_DATATYPE, Through, model_of, write_identity
from tests.picture_files import instances, noise_png

PAIR = Through("", "FP32", ["n", 2])
MODELS: dict[str, tuple[Through, ...]] = {
    "types": tuple(
        Through(datatype, datatype, ["n", 2])
        for datatype in ELEMENT_OF_DATATYPE
        if datatype != "BF16"
    ),
    "bf16": (Through("a", "BF16", ["n", 2]), Through("b", "FP32", ["n"])),
    "free": (Through("a", "INT32", ["n", "w", 3]), Through("b", "BYTES", ["n", "w"])),
    "flat": (Through("a", "INT64", ["n"]), Through("b", "BYTES", ["n"])),
    "whole": (Through("a", "FP64", [2, 2]), Through("b", "FP32", ["n", 2])),
    "scalar": (Through("a", "FP32", []), Through("b", "BYTES", [])),
}


def write_external(folder: Path) -> None:
    """A graph x[N, 2] -> y[N, 2] = x + 0, whose zeros lie in a file beside it."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "zeros"], ["y"])],
        "external",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.zeros(2, np.float32), "zeros")],
    )
    folder.mkdir(parents=True)
    onnx.save(
        model_of(graph),
        folder / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    assert (folder / "weights.bin").is_file()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server of models that hand their inputs through, none with a whole config.pbtxt."""
    folder = tmp_path_factory.mktemp("foreign")
    root = folder / "models"
    for name, tensors in MODELS.items():
        write_identity(root / name / "1" / "model.onnx", *tensors)
    write_external(root / "external" / "1" / "model.onnx")
    write_identity(root / "named" / "1" / "net.onnx", PAIR)
    (root / "named" / "config.pbtxt").write_text(
        'default_model_filename: "net.onnx" output { name: "y" label_filename: "labels.txt" }'
    )
    (root / "named" / "labels.txt").write_text("crane\ncrane\n")
    with live_server(folder / "log", "--model-repository", str(root)) as running:
        yield running


@pytest.fixture
def http(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_every_model_is_asked_by_its_metadata_alone(server: LiveServer, protocol: str) -> None:
    port = server.http_port if protocol == "rest" else server.grpc_port
    names = [*MODELS, "external", "named"]
    command = [sys.executable, "-m", "tests.clients.echo", protocol, f"127.0.0.1:{port}", *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    echoed: dict[str, dict[str, bool]] = json.loads(done.stdout)
    assert [*echoed] == names
    wrong = {name: tensors for name, tensors in echoed.items() if not all(tensors.values())}
    assert wrong == {}


def test_the_config_answer_is_complete(http: httpx.Client) -> None:
    config = http.get("/v2/models/free/config").json()
    assert (config["name"], config["max_batch_size"]) == ("free", 4)
    assert (config["platform"], config["backend"]) == ("onnxruntime_onnx", "onnxruntime")
    assert [entry["dims"] for entry in config["input"]] == [[-1, 3], [-1]]
    assert [entry["data_type"] for entry in config["output"]] == ["TYPE_INT32", "TYPE_STRING"]
    assert config["parameters"]["execution_precision"] == {"string_value": "fp32"}
    metadata = http.get("/v2/models/whole").json()
    assert [entry["shape"] for entry in metadata["inputs"]] == [[2, 2], [-1, 2]]


def test_strings_are_served_where_openvino_was_asked_for(tmp_path: Path) -> None:
    if not detect_machine().has_openvino:
        pytest.skip("OpenVINO's plug-in is not installed, or takes no CPU of this maker")
    write_identity(tmp_path / "models" / "m" / "1" / "model.onnx", Through("", "BYTES", ["n"]))
    write_identity(tmp_path / "models" / "n" / "1" / "model.onnx", PAIR)
    flags = ["--model_repository", str(tmp_path / "models"), "--provider", "openvino"]
    body = {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1, 1], "data": ["a"]}]}
    with live_server(tmp_path / "log", *flags) as server, server.client() as http:
        for _ in range(20):
            answer = http.post("/v2/models/m/infer", json=body)
            assert answer.json()["outputs"][0]["data"] == ["a"]
        providers = {
            name: http.get(f"/v2/models/{name}/config").json()["parameters"]["execution_provider"]
            for name in ("m", "n")
        }
    assert providers == {"m": {"string_value": "cpu"}, "n": {"string_value": "openvino"}}


def test_strings_are_text_in_json_and_labels_may_repeat(http: httpx.Client) -> None:
    body: dict[str, Any] = {
        "inputs": [
            {"name": "xa", "datatype": "INT64", "shape": [2, 1], "data": [7, 8]},
            {"name": "xb", "datatype": "BYTES", "shape": [2, 1], "data": ["a", "日本"]},
        ]
    }
    outputs = http.post("/v2/models/flat/infer", json=body).json()["outputs"]
    assert {output["name"]: output["data"] for output in outputs} == {
        "ya": [7, 8],
        "yb": ["a", "日本"],
    }
    body = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}],
        "outputs": [{"name": "y", "parameters": {"classification": 2}}],
    }
    (output,) = http.post("/v2/models/named/infer", json=body).json()["outputs"]
    assert output["data"] == ["2.000000:1:crane", "1.000000:0:crane"]


def test_a_model_without_a_task_is_asked_over_v2_alone(http: httpx.Client) -> None:
    refused = http.post("/v1/models/named:predict", json=instances(noise_png(0)))
    assert refused.status_code == 400
    assert "no vision task" in refused.json()["error"]


@pytest.mark.parametrize("layout", ["bare", "versions", "config", "repository"])
def test_what_kserve_mounts_is_served_under_the_name_it_gives(tmp_path: Path, layout: str) -> None:
    mount = tmp_path / "mnt" / "models"
    folder = mount / "inner" if layout == "repository" else mount
    version = folder if layout == "bare" else folder / "1"
    write_identity(version / "model.onnx", PAIR)
    if layout == "config":
        (folder / "config.pbtxt").write_text('name: "other" max_batch_size: 2')
    flags = ["--model_dir", str(mount), "--model_name", "given"]
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    with live_server(tmp_path / "log", *flags) as server, server.client() as http:
        answer = http.post("/v2/models/given/versions/1/infer", json=body)
        assert answer.json()["outputs"][0]["data"] == [1.0, 2.0]
        assert http.get("/v2/models/given/config").json()["name"] == "given"


def test_a_bare_file_that_is_replaced_is_polled_in(tmp_path: Path) -> None:
    write_identity(tmp_path / "models" / "model.onnx", PAIR)
    flags = ["--model_dir", str(tmp_path / "models"), "--model_name", "m"]
    flags += ["--model_control_mode", "poll", "--repository_poll_secs", "1"]
    with live_server(tmp_path / "log", *flags) as server:
        write_identity(tmp_path / "models" / "new", Through("", "INT8", ["n", 7]))
        (tmp_path / "models" / "new").replace(tmp_path / "models" / "model.onnx")

        def datatype() -> str:
            inputs = httpx.get(server.url + "/v2/models/m").json()["inputs"]
            return str(inputs[0]["datatype"])

        wait_until(lambda: datatype() == "INT8")
        assert httpx.get(server.url + "/v2/health/ready").status_code == 200


def test_a_model_that_cannot_be_loaded_ends_the_server_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    (tmp_path / "models" / "m" / "1").mkdir(parents=True)
    (tmp_path / "models" / "m" / "1" / "model.onnx").write_bytes(b"no model")
    server = start_server(
        tmp_path / "log", "--model_repository", str(tmp_path / "models"), "--exit-on-error"
    )
    assert server.process.wait(timeout=60) == 1
    (line,) = [line for line in server.log.read_text().splitlines() if line.startswith("error: ")]
    assert "model 'm'" in line
    assert "cannot load it" in line
    assert "Traceback" not in server.log.read_text()


def test_without_strict_readiness_the_server_is_ready_beside_a_broken_model(tmp_path: Path) -> None:
    (tmp_path / "models" / "m").mkdir(parents=True)
    flags = ["--model_repository", str(tmp_path / "models"), "--strict-readiness=false"]
    server = start_server(tmp_path / "log", *flags)
    try:
        wait_for(server, "/v2/health/ready")
        assert httpx.get(server.url + "/v2/models/m/ready").status_code >= 400
    finally:
        assert server.stop() == 0
