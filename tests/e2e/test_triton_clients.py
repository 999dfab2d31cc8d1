"""Programs written for Triton run here: every call of tritonclient's four libraries."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clients import run_client
from tests.live_server import LiveServer, live_server
from tests.onnx_graphs import Through, write_identity
from tests.picture_files import noise, noise_png
from tests.tiny_models import LABELS, colour_scores, publish_colour_model

LIBRARIES = ("http", "http.aio", "grpc", "grpc.aio")
_STATUS = {"400": "StatusCode.INVALID_ARGUMENT", "404": "StatusCode.NOT_FOUND"}
_STATUS["501"] = "StatusCode.UNIMPLEMENTED"


@dataclass(frozen=True, slots=True)
class Triton:
    server: LiveServer
    answers: dict[str, dict[str, Any]]
    """What each library's calls answered."""


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    folder = tmp_path_factory.mktemp("triton")
    repository = folder / "repository"
    publish_colour_model(repository, "colour")
    for name in ("pass", *(f"late-{library}" for library in LIBRARIES)):
        write_identity(repository / name / "1" / "model.onnx", Through("", "FP32", ["n", 2]))
    write_identity(repository / "text" / "1" / "model.onnx", Through("", "BYTES", ["n", 1]))
    (folder / "0.png").write_bytes(noise_png(0))
    flags = ["--model_repository", str(repository), "--precision", "fp32", "--provider", "cpu"]
    flags += ["--model-control-mode=explicit", "--allow_shared_memory"]
    flags += [f"--load-model={name}" for name in ("colour", "pass", "text")]
    with pytest.MonkeyPatch.context() as patch, live_server(folder / "log", *flags) as server:
        patch.setenv("MODEL_FILE", str(repository / "pass" / "1" / "model.onnx"))
        answers = {}
        for library in LIBRARIES:
            port = server.grpc_port if library.startswith("grpc") else server.http_port
            arguments = (library, f"127.0.0.1:{port}", f"late-{library}", str(folder / "0.png"))
            answers[library] = run_client("triton_all", *arguments)
        yield Triton(server, answers)


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def answers(triton: Triton, library: str) -> dict[str, Any]:
    return triton.answers[library]


def status(library: str, code: str) -> str:
    return _STATUS[code] if library.startswith("grpc") else code


def test_health_and_metadata(answers: dict[str, Any]) -> None:
    health = answers["health"]
    assert [health[key] for key in ("live", "ready", "model_ready", "version_ready")] == [True] * 4
    assert health["unknown_ready"] is False
    assert health["server"] == "aperture"
    model = health["model"]
    assert (model["name"], model["versions"], model["platform"]) == (
        *("pass", ["1"]),
        "onnxruntime_onnx",
    )
    shape = [int(dim) for dim in model["inputs"][0]["shape"]]
    assert (model["inputs"][0]["name"], model["inputs"][0]["datatype"], shape) == (
        *("x", "FP32"),
        [-1, 2],
    )
    assert health["unknown"] == "Request for unknown model: 'nope' is not found"
    assert health["unknown_version"] == "Request for unknown model: 'pass' version 9 is not found"


def test_configuration(answers: dict[str, Any]) -> None:
    expected = {"name": "pass", "max_batch_size": 4, "input": ["x", "TYPE_FP32"]}
    assert answers["config"] == expected


def test_inference(answers: dict[str, Any]) -> None:
    infer = answers["infer"]
    scores = colour_scores(noise(0)[None])
    np.testing.assert_allclose(infer["scores"], scores, atol=1e-5)
    best = np.argsort(-scores[0])[:2]
    for row in infer["classes"]:
        assert [text.split(":")[1:] for text in row] == [[str(i), LABELS[i]] for i in best]
    assert len(infer["classes"]) == 2
    assert infer["numbers"] == [[0.5, -2]]
    assert infer["head"] == ["r-1", "pass", "1"]
    assert infer["strings"] == ["h\u00e9", ""]
    assert infer["many"] == list(range(20))
    assert infer["compressed"] == [True, True]


def test_refusals_in_tritons_words(answers: dict[str, Any], library: str) -> None:
    unknown, none, shape, name, datatype = answers["infer"]["refused"]
    assert unknown == [
        status(library, "404"),
        "Request for unknown model: 'nope' is not found",
    ]
    assert [one[0] for one in (none, shape, name, datatype)] == [status(library, "400")] * 4
    assert none[1] == (
        "[request id: <id_unknown>] expected 1 inputs but got 0 inputs for model 'pass'. "
        "Got input(s) [], but missing required input(s) ['x']. Please provide all required input(s)."
    )
    assert (
        "unexpected shape for input 'x' for model 'pass'. Expected [-1,2], got [1,3]." in shape[1]
    )
    assert name[1] == "unexpected inference input 'z' for model 'pass'"
    assert "data-type is 'FP32', but model 'text' expects 'BYTES'" in datatype[1]


@pytest.mark.parametrize("library", ["http", "http.aio"])
def test_json_tensors(triton: Triton, library: str) -> None:
    form = triton.answers[library]["json_form"]
    assert form["json"] == [[[0.5, -2]], [0.5, -2]]


@pytest.mark.parametrize("library", ["grpc", "grpc.aio"])
def test_a_stream_is_answered_in_order_and_goes_on_after_errors(
    triton: Triton, library: str
) -> None:
    unknown = "Request for unknown model: 'nope' is not found"
    expected = [unknown if number % 5 == 2 else number for number in range(20)]
    assert triton.answers[library]["stream"] == {"stream": expected, "final": True}


def test_repository(answers: dict[str, Any], library: str) -> None:
    repository = answers["repository"]
    assert repository["index"] == ["", "READY"]
    assert repository["override"] == 2
    assert repository["sent"] == ["7"]
    assert repository["unloaded"][0] == status(library, "404")
    assert repository["unknown"] == "failed to load 'nope', failed to poll from model repository"


def test_statistics(answers: dict[str, Any]) -> None:
    statistics = answers["statistics"]
    assert {"colour", "pass", "text"} <= set(statistics["models"])
    assert statistics["row"] == ["pass", "1", True]
    assert statistics["success"]
    assert statistics["unknown"] == "Request for unknown model: 'nope' is not found"


def test_settings(answers: dict[str, Any], triton: Triton) -> None:
    settings = answers["settings"]
    assert settings["logs"] == [1, "ISO8601", True]
    assert settings["log_file"] == "log file location can not be updated through network protocol"
    assert settings["traces"] == [["TIMESTAMPS", "7"], ["OFF", "1000"], ["OFF", "1000"]]


def test_system_shared_memory(answers: dict[str, Any], library: str) -> None:
    memory = answers["shared_memory"]
    assert memory["status"] == ["region", True, 16]
    assert memory["answer"] == [[0.5, -2]]
    assert memory["output"] == ["y", [1, 2], False]
    no_regions, code, text = memory["cuda"]
    assert no_regions
    assert code == status(library, "501")
    assert text.startswith("failed to register CUDA shared memory region: 'c'")
    assert memory["left"]
    assert not list(Path("/dev/shm").glob(f"aperture-{os.getpid()}*"))  # noqa: S108
