"""Engines are built by the session that a server would open; here the CPU stands in for the GPU."""

from dataclasses import replace
from pathlib import Path

import onnxruntime as ort
import pytest

from contract.accelerators import read_accelerators
from contract.choice import Choice, Machine
from contract.errors import ProviderError
from contract.model_config import read_model_config
from contract.sessions import Launch, open_session
from tests.trainer.conftest import Trained, aperture_train, problems
from trainer.engines import profile_sizes

GPU = Machine(gpus=2, has_tensorrt=True, has_openvino=False, cpu_flags=frozenset())


def export(trained: Trained, repository: Path) -> int:
    argv = ("--checkpoint", str(trained.run_dir), "--model_repository", str(repository))
    return aperture_train("export", *argv, "--name", "digits", "--tensorrt")


def test_each_gpu_runs_the_smallest_and_the_largest_batch(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches = []
    batches = []

    class Watched:
        def __init__(self, session: ort.InferenceSession) -> None:
            self._session = session

        def run(self, names: None, inputs: dict[str, object]) -> object:
            batches.append(len(inputs["image"]))  # type: ignore[arg-type]
            return self._session.run(names, inputs)

    def opened(launch: Launch) -> Watched:
        launches.append(launch)
        return Watched(open_session(replace(launch, choice=Choice("cpu", "fp32", ""))))

    monkeypatch.setattr("trainer.engines.detect_machine", lambda: GPU)
    monkeypatch.setattr("trainer.engines.open_session", opened)
    assert export(trained, tmp_path) == 0
    config = read_model_config(tmp_path / "digits")
    version_dir = tmp_path / "digits" / "1"
    assert set(read_accelerators(config)) == {"tensorrt"}
    assert [launch.device for launch in launches] == [0, 1]
    assert {launch.path for launch in launches} == {version_dir / "model.onnx"}
    assert launches[0].choice.provider == "tensorrt"
    assert launches[0].choice.options == {
        "trt_profile_min_shapes": "image:1x20x20x3",
        "trt_profile_opt_shapes": "image:64x20x20x3",
        "trt_profile_max_shapes": "image:64x20x20x3",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(version_dir / ".tensorrt"),
    }
    assert batches == [1, 64, 1, 64]


def test_engines_that_cannot_be_built_are_an_error_after_the_publishing(
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(launch: Launch) -> object:
        raise ProviderError("out of memory")

    monkeypatch.setattr("trainer.engines.detect_machine", lambda: GPU)
    monkeypatch.setattr("trainer.engines.open_session", refuse)
    assert export(trained, tmp_path) == 1
    (line,) = problems(capsys.readouterr().err)
    version_dir = tmp_path / "digits" / "1"
    assert line == (
        f"{version_dir} is published, but a server has to build its engines: out of memory"
    )
    assert version_dir.is_dir()


def test_a_machine_without_tensorrt_is_refused_before_the_export(
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lacking = replace(GPU, has_tensorrt=False)
    monkeypatch.setattr("trainer.engines.detect_machine", lambda: lacking)
    assert export(trained, tmp_path) == 2
    assert "this onnxruntime was built without TensorRT" in problems(capsys.readouterr().err)[0]
    assert not (tmp_path / "digits").exists()


def test_the_preferred_batch_sizes_are_built_too(trained: Trained, tmp_path: Path) -> None:
    text = (trained.repository / "digits" / "config.pbtxt").read_text()
    (tmp_path / "config.pbtxt").write_text(
        text.replace("dynamic_batching {", "dynamic_batching { preferred_batch_size: [8, 32] ")
    )
    assert profile_sizes(read_model_config(tmp_path)) == [1, 8, 32, 64]
