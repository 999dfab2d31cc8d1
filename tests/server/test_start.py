"""A provider that fails is replaced by the next, and that is said; or nothing is served."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

import server.start
from contract.choice import BF16_FLAGS, Machine
from contract.model_config import empty_model_config, read_model_config
from contract.precision import Measurement, Precision, file_sha256
from contract.sessions import Launch, detect_machine, open_session
from server.errors import LoadError
from server.sources import ModelFolder
from server.start import Started, start
from tests.onnx_graphs import int8_graph
from tests.runtimes import cpu_runtime
from tests.tiny_models import SIZE, colour_config, colour_scores, publish_colour_model

GPU = Machine(gpus=1, has_tensorrt=True, has_openvino=False, cpu_flags=frozenset())

needs_bf16 = pytest.mark.skipif(
    not (detect_machine().has_openvino and detect_machine().bf16_flags),
    reason="this CPU has no bf16, or OpenVINO is not installed",
)


@pytest.fixture
def folder(tmp_path: Path) -> ModelFolder:
    return ModelFolder("colours", publish_colour_model(tmp_path, "colours"))


def name_accelerators(folder: ModelFolder, text: str) -> None:
    config = folder.path / "config.pbtxt"
    named = f"optimization {{ execution_accelerators {{ {text} }} }}\n"
    config.write_text(config.read_text() + named)


def measure(folder: ModelFolder, bf16: float) -> None:
    sha256 = file_sha256(folder.path / "1" / "model.onnx")
    measured = Measurement("accuracy", {"fp32": 0.9, "bf16": bf16}, 500, 0.005, sha256)
    config = read_model_config(folder.path).with_parameters(measured.parameters())
    (folder.path / "config.pbtxt").write_text(config.to_text())


def started(folder: ModelFolder, **changes: Any) -> Started:
    runtime = replace(cpu_runtime(), provider="auto", precision="auto")
    return start(folder, 1, folder.read_config(), replace(runtime, **changes))


def answers(one: Started) -> bool:
    image = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    (run, *_) = one.warmed.execution.runs
    return bool(np.allclose(run({"image": image})["scores"], colour_scores(image), atol=0.02))


def warnings(caplog: pytest.LogCaptureFixture) -> Sequence[str]:
    return [line.getMessage() for line in caplog.records if line.levelno == logging.WARNING]


@needs_bf16
@pytest.mark.parametrize(
    ("bf16", "provider", "reason"),
    [(0.899, "openvino", "a loss within 0.005"), (0.89, "cpu", "a loss over 0.005")],
)
def test_the_stored_measurement_decides_the_precision(
    folder: ModelFolder, bf16: float, provider: str, reason: str
) -> None:
    measure(folder, bf16)
    one = started(folder)
    assert one.config.parameters["execution_provider"] == provider
    assert reason in one.config.parameters["execution_reason"]
    assert "execution_warning" not in one.config.parameters
    assert answers(one)


def test_what_was_not_measured_is_served_in_fp32(folder: ModelFolder) -> None:
    parameters = started(folder).config.parameters
    assert parameters["execution_provider"] == "cpu"
    assert parameters["execution_precision"] == "fp32"


@pytest.mark.parametrize(
    ("int8", "warning"), [(None, "was not measured"), (0.01, "a loss over"), (0.9, "")]
)
def test_an_int8_graph_is_served_as_such_and_unless_measured_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, int8: float | None, warning: str
) -> None:
    path = tmp_path / "m" / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(int8_graph().SerializeToString())
    if int8 is not None:
        values: dict[Precision, float] = {"fp32": 0.9, "int8": int8}
        measured = Measurement("accuracy", values, 500, 0.005, file_sha256(path), "int8")
        config = empty_model_config("m").with_parameters(measured.parameters())
        (tmp_path / "m" / "config.pbtxt").write_text(config.to_text())
    one = started(ModelFolder("m", tmp_path / "m"), strict_accelerators=True)
    assert one.config.parameters["execution_precision"] == "int8"
    assert warning in one.config.parameters.get("execution_warning", "")
    assert ("execution_warning" in one.config.parameters) == bool(warning)
    assert [warning in line for line in warnings(caplog)] == [True] * bool(warning)


def test_an_older_version_is_served_by_its_own_measurement(
    folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    able = Machine(gpus=0, has_tensorrt=False, has_openvino=True, cpu_flags=frozenset(BF16_FLAGS))

    def opened(launch: Launch) -> ort.InferenceSession:
        return open_session(replace(launch, choice=replace(launch.choice, provider="cpu")))

    monkeypatch.setattr(server.start, "detect_machine", lambda: able)
    monkeypatch.setattr(server.start, "open_session", opened)
    measure(folder, 0.899)
    shutil.copy(folder.path / "config.pbtxt", folder.path / "1" / "config.pbtxt")
    newest = Measurement("accuracy", {"fp32": 0.7, "int8": 0.7}, 9, 1, "0", "int8")
    config = colour_config("colours").with_parameters(newest.parameters())
    (folder.path / "config.pbtxt").write_text(config.to_text())
    parameters = started(folder).config.parameters
    assert parameters["execution_precision"] == "bf16"
    assert "accuracy 0.8990 in bf16" in parameters["execution_reason"]
    assert parameters["metric_bf16"] == "0.899"
    assert not {"metric_int8", "precision"} & parameters.keys()


@needs_bf16
def test_the_users_precision_wins_with_a_warning(
    folder: ModelFolder, caplog: pytest.LogCaptureFixture
) -> None:
    one = started(folder, precision="bf16")
    assert one.config.parameters["execution_precision"] == "bf16"
    assert "was not measured" in one.config.parameters["execution_warning"]
    (warning,) = warnings(caplog)
    assert "--precision asks for it" in warning


@pytest.mark.skipif(detect_machine().gpus > 0, reason="the providers start where a GPU is")
def test_a_provider_that_does_not_start_is_replaced_by_the_next(
    folder: ModelFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server.start, "detect_machine", lambda: GPU)
    name_accelerators(folder, 'gpu_execution_accelerator { name: "tensorrt" }')
    one = started(folder)
    assert one.choice.provider == "cpu"
    assert one.choice.reason == "cuda failed"
    warning = one.config.parameters["execution_warning"]
    assert warning.startswith("tensorrt failed: ")
    assert "; cuda failed: " in warning
    assert warnings(caplog)[-1].endswith(warning)
    assert answers(one)


@pytest.mark.skipif(detect_machine().gpus > 0, reason="the providers start where a GPU is")
def test_the_user_can_forbid_that(folder: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.start, "detect_machine", lambda: GPU)
    with pytest.raises(LoadError, match=r"cuda: .*\(--strict_accelerators\)"):
        started(folder, strict_accelerators=True)


def test_what_config_names_and_is_not_here_is_a_warning_or_an_error(
    folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.start, "detect_machine", lambda: replace(GPU, gpus=0))
    name_accelerators(folder, 'gpu_execution_accelerator { name: "cuda" }')
    missing = "config.pbtxt names cuda, but there is no CUDA device here"
    assert started(folder).config.parameters["execution_warning"] == missing
    with pytest.raises(LoadError, match=missing):
        started(folder, strict_accelerators=True)


class Broken:
    """A session that opens and cannot run."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs
        self.get_overridable_initializers = session.get_overridable_initializers

    def run(self, names: object, feeds: object) -> None:
        raise RuntimeError("no kernel")


def test_a_provider_whose_first_run_fails_is_replaced_by_the_next(
    folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(launch: Launch) -> object:
        cpu = replace(launch, choice=replace(launch.choice, provider="cpu"))
        session = open_session(cpu)
        return Broken(session) if launch.choice.provider == "openvino" else session

    monkeypatch.setattr(
        server.start, "detect_machine", lambda: replace(GPU, gpus=0, has_openvino=True)
    )
    monkeypatch.setattr(server.start, "open_session", opened)
    name_accelerators(folder, 'cpu_execution_accelerator { name: "openvino" }')
    one = started(folder)
    assert one.choice.provider == "cpu"
    assert "openvino failed: " in one.choice.warning
    assert "the warm-up run failed: no kernel" in one.choice.warning
    assert answers(one)
    with pytest.raises(LoadError, match=r"no kernel \(--strict_accelerators\)"):
        started(folder, strict_accelerators=True)


def test_unknown_accelerators_are_refused(folder: ModelFolder) -> None:
    name_accelerators(folder, 'gpu_execution_accelerator { name: "gpu_io" }')
    with pytest.raises(LoadError, match="unknown Execution Accelerator 'gpu_io'"):
        started(folder)
