"""A lower precision is published with what it costs, measured on validation pictures alone."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contract.choice import Choice, Machine
from contract.errors import ProviderError
from contract.model_config import read_model_config
from contract.precision import Measurement, file_sha256, read_guard
from contract.sessions import Launch, detect_machine, open_session
from tests.trainer.conftest import Trained, aperture_train, problems
from trainer.checkpoints import open_checkpoint
from trainer.datasets.dataset import Sample
from trainer.export import Export
from trainer.precisions import Validation, measure, measured_samples, recall, remember, spread
from trainer.predictors import GraphPredictor
from trainer.tasks.classification import TASK
from trainer.tasks.task import Outputs

NOTHING = Machine(gpus=0, has_tensorrt=False, has_openvino=False, cpu_flags=frozenset())
MEASURED = ("metric_name", "metric_fp32", "metric_pictures", "metric_max_loss")

needs_bf16 = pytest.mark.skipif(
    not (detect_machine().has_openvino and detect_machine().bf16_flags),
    reason="this CPU has no bf16, or OpenVINO is not installed",
)


def export_of(trained: Trained) -> Export:
    checkpoint = open_checkpoint(trained.run_dir)
    module = TASK.serving_module(TASK.load_model(checkpoint.folder)).eval()
    config = read_model_config(trained.repository / trained.name)
    return Export(TASK, module, config, checkpoint.labels)


def validation_of(trained: Trained, max_loss: float = 0.005) -> Validation:
    labels = open_checkpoint(trained.run_dir).labels
    samples = TASK.read_split(trained.data, "validation", labels).samples
    return Validation(samples, batch_size=8, max_loss=max_loss)


def graph_of(trained: Trained) -> Path:
    return trained.repository / trained.name / "1" / "model.onnx"


def measured_of(trained: Trained, machine: Machine) -> Measurement:
    measured = measure(export_of(trained), graph_of(trained), validation_of(trained), machine)
    assert measured is not None
    return measured


def export(trained: Trained, repository: Path, *more: str) -> int:
    argv = ("--checkpoint", str(trained.run_dir), "--model_repository", str(repository))
    return aperture_train("export", *argv, "--name", "digits", *more)


def test_fit_publishes_what_it_measured_on_its_validation_pictures(trained: Trained) -> None:
    parameters = read_model_config(trained.repository / trained.name).parameters
    metrics = json.loads((trained.run_dir / "metrics.json").read_text())
    assert parameters["metric_name"] == "accuracy"
    assert parameters["metric_pictures"] == "48"
    assert parameters["metric_max_loss"] == "0.005"
    assert float(parameters["metric_fp32"]) == metrics["splits"]["validation"]["accuracy"]
    guard = read_guard(parameters, graph_of(trained))
    assert guard.measured is not None
    assert guard.measured == recall(trained.run_dir, graph_of(trained))


@needs_bf16
def test_bf16_is_measured_where_the_cpu_has_it(trained: Trained) -> None:
    parameters = read_model_config(trained.repository / trained.name).parameters
    guard = read_guard(parameters, graph_of(trained))
    assert guard.measured is not None
    assert guard.allows("bf16") == (guard.measured.loss("bf16") <= 0.005)


def test_a_machine_that_serves_fp32_alone_measures_that_alone(trained: Trained) -> None:
    measured = measured_of(trained, NOTHING)
    assert set(measured.values) == {"fp32"}
    assert not measured.allows("bf16")


def test_a_precision_whose_provider_fails_is_not_measured(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine = replace(NOTHING, has_openvino=True, cpu_flags=frozenset({"amx_bf16"}))

    def refuse(launch: Launch) -> object:
        if launch.choice.provider == "openvino":
            raise ProviderError("no such operator")
        return open_session(launch)

    monkeypatch.setattr("trainer.precisions.open_session", refuse)
    measured = measured_of(trained, machine)
    assert set(measured.values) == {"fp32"}
    assert "event=not_measured precision=bf16 reason=no such operator" in caplog.messages


def test_a_graph_that_computes_worse_in_bf16_is_kept_in_fp32(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = replace(NOTHING, has_openvino=True, cpu_flags=frozenset({"amx_bf16"}))

    class Worse(GraphPredictor):
        """Every label is the next one."""

        def predict(self, files: Sequence[bytes]) -> Outputs:
            return {name: np.roll(o, 1, -1) for name, o in super().predict(files).items()}

    def on_cpu(launch: Launch) -> object:
        predictor = Worse if launch.choice.precision == "bf16" else GraphPredictor
        monkeypatch.setattr("trainer.precisions.GraphPredictor", predictor)
        return open_session(replace(launch, choice=Choice("cpu", "fp32", "")))

    monkeypatch.setattr("trainer.precisions.open_session", on_cpu)
    measured = measured_of(trained, machine)
    assert measured.loss("bf16") > 0.2
    assert not measured.allows("bf16")
    assert "a loss over 0.005" in measured.says("bf16")


def test_export_measures_anew_on_the_data_it_is_given(trained: Trained, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for source in sorted((trained.data / "validation").glob("*/*.png"))[::2]:
        target = data / "validation" / source.parent.name / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    flags = ("--data", str(data), "--max_precision_loss", "0.25")
    assert export(trained, tmp_path / "repository", *flags) == 0
    parameters = read_model_config(tmp_path / "repository" / "digits").parameters
    assert parameters["metric_pictures"] == "24"
    assert parameters["metric_max_loss"] == "0.25"


def test_export_publishes_the_runs_own_measurement_from_another_process(
    trained: Trained, tmp_path: Path
) -> None:
    argv = ["export", "--checkpoint", str(trained.run_dir), "--name", "digits"]
    argv += ["--model_repository", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "trainer", *argv], check=True)
    ours, theirs = (
        read_model_config(folder / "digits").parameters for folder in (tmp_path, trained.repository)
    )
    assert "metric_fp32" in ours
    assert ours == theirs


def test_export_of_another_checkpoint_claims_no_measurement(
    trained: Trained, tmp_path: Path
) -> None:
    argv = ("--checkpoint", str(trained.run_dir / "checkpoint-10"), "--name", "digits")
    assert aperture_train("export", *argv, "--model_repository", str(tmp_path)) == 0
    parameters = read_model_config(tmp_path / "digits").parameters
    assert not set(MEASURED) & set(parameters)


def test_a_measurement_is_kept_for_its_graph_alone(trained: Trained, tmp_path: Path) -> None:
    measured = measured_of(trained, NOTHING)
    remember(tmp_path, measured)
    assert recall(tmp_path, graph_of(trained)) == measured
    other = tmp_path / "model.onnx"
    other.write_bytes(b"another graph")
    assert recall(tmp_path, other) is None
    assert measured.model_sha256 == file_sha256(graph_of(trained))


@pytest.mark.parametrize(
    ("side", "there_are", "measured"),
    [(20, 48, 48), (28, 5000, 2000), (224, 5000, 500), (512, 5000, 100), (800, 5000, 100)],
)
def test_fewer_of_large_pictures_are_measured(
    trained: Trained, side: int, there_are: int, measured: int
) -> None:
    export = export_of(trained)
    spec = replace(export.config.inputs[0], dims=(side, side, 3))
    export = replace(export, config=replace(export.config, inputs=(spec,)))
    samples = [Sample(Path(f"{index:04d}"), index) for index in range(there_are)]
    assert len(measured_samples(samples, export)) == measured


def test_what_is_measured_is_spread_over_all() -> None:
    assert spread(range(10), 4) == [0, 2, 5, 7]
    assert spread(range(3), 4) == range(3)


def test_a_model_whose_metric_cannot_be_computed_is_published_unmeasured(
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("trainer.precisions.evaluate", lambda *_: {})
    assert export(trained, tmp_path, "--data", str(trained.data)) == 0
    assert not set(MEASURED) & set(read_model_config(tmp_path / "digits").parameters)
    reason = "the validation pictures have no accuracy: nothing is annotated"
    assert f"event=not_measured reason={reason}" in caplog.messages


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--int8",), "--int8 needs --data"),
        (("--int8", "--tensorrt", "--data", "x"), "give one of them"),
        (("--max_precision_loss", "2"), "expected float in"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    trained: Trained,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    message: str,
) -> None:
    assert export(trained, tmp_path, *flags) == 2
    (line,) = problems(capsys.readouterr().err)
    assert message in line


@pytest.mark.skipif(detect_machine().gpus > 0, reason="there are engines to build")
def test_engines_need_a_gpu(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(trained, tmp_path, "--tensorrt") == 2
    assert problems(capsys.readouterr().err) == [
        "tensorrt: there is no CUDA device with onnxruntime-gpu here; export on a machine like the "
        "one that will serve, with onnxruntime-gpu and tensorrt, or without --tensorrt"
    ]
    assert not (tmp_path / "digits").exists()
