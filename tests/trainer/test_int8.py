"""Quantised graphs of each task take and give what the others do, or are not published."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from contract.model_config import read_model_config
from contract.precision import read_guard
from server.runtime import Runtime
from server.sources import ModelFolder
from server.start import start
from tests.e2e.random_models import publish_detector, publish_segmenter
from tests.picture_files import noise_png
from tests.trainer.conftest import Trained, aperture_train, problems
from trainer.checkpoints import Checkpoint
from trainer.datasets.dataset import Sample
from trainer.export import Export, random_inputs
from trainer.int8 import quantise
from trainer.tasks import load_task


def export_int8(trained: Trained, repository: Path, *more: str) -> int:
    return aperture_train(
        "export",
        *("--checkpoint", str(trained.run_dir), "--model_repository", str(repository)),
        *("--name", "digits", "--data", str(trained.data), "--int8", *more),
    )


def test_a_quantised_model_is_published_with_what_it_costs(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--calibration_pictures", "40", "--max_precision_loss", "0.1")
    assert export_int8(trained, tmp_path, *flags) == 0
    assert capsys.readouterr().out.strip() == f"published {tmp_path / 'digits' / '1'}"
    config = read_model_config(tmp_path / "digits")
    guard = read_guard(config.parameters, tmp_path / "digits" / "1" / "model.onnx")
    assert guard.graph == "int8"
    assert guard.allows("int8")
    assert guard.measured is not None
    assert set(guard.measured.values) == {"fp32", "int8"}
    plain = read_model_config(trained.repository / "digits")
    assert config.inputs == plain.inputs
    assert config.outputs == plain.outputs


def test_the_published_graph_computes_in_int8_what_fp32_does(
    trained: Trained, tmp_path: Path
) -> None:
    assert export_int8(trained, tmp_path, "--max_precision_loss", "1") == 0
    quantised = tmp_path / "digits" / "1" / "model.onnx"
    graph = onnx.load_model(quantised)
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in graph.graph.node}
    assert {prop.key for prop in graph.metadata_props} >= {"task", "labels"}
    plain = trained.repository / "digits" / "1" / "model.onnx"
    image = random_inputs(
        load_task("image-classification"), read_model_config(tmp_path / "digits"), 5
    )
    ours, theirs = (ort.InferenceSession(path).run(None, image)[0] for path in (quantised, plain))
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 0.2
    assert not np.array_equal(ours, theirs)


def test_a_quantised_model_that_loses_too_much_is_not_published(
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def spoil(export: Export, plain: Path, quantised: Path, _: object) -> None:
        """A graph that answers the labels in another order."""
        graph = onnx.load_model(plain)
        scores = graph.graph.output[0].name
        (last,) = (node for node in graph.graph.node if scores in node.output)
        last.output[0] = "before"
        order = onnx.numpy_helper.from_array(np.array([1, 2, 3, 0]), "order")
        graph.graph.initializer.append(order)
        graph.graph.node.append(
            onnx.helper.make_node("Gather", ["before", "order"], [scores], axis=1)
        )
        onnx.save_model(graph, quantised)

    monkeypatch.setattr("trainer.int8.quantise", spoil)
    assert export_int8(trained, tmp_path) == 1
    (line,) = problems(capsys.readouterr().err)
    assert line.startswith("accuracy 0.")
    assert " in int8 and " in line
    assert " in fp32 on 48 pictures, a loss over 0.005; nothing was published" in line
    assert not list((tmp_path / "digits").glob("[0-9]*"))


def test_int8_is_served_as_such(trained: Trained, tmp_path: Path, runtime: Runtime) -> None:
    assert export_int8(trained, tmp_path, "--max_precision_loss", "1") == 0
    folder = ModelFolder("digits", tmp_path / "digits")
    runtime = replace(runtime, provider="auto", precision="auto")
    parameters = start(folder, 1, folder.read_config(), runtime).config.parameters
    assert parameters["execution_precision"] == "int8"
    assert parameters["execution_provider"] == "cpu"
    assert "execution_warning" not in parameters
    assert "the graph computes in int8; accuracy" in parameters["execution_reason"]


def test_each_version_is_served_in_its_own_precision(
    trained: Trained, tmp_path: Path, runtime: Runtime
) -> None:
    assert export_int8(trained, tmp_path, "--max_precision_loss", "1") == 0
    plain = ("--checkpoint", str(trained.run_dir), "--model_repository", str(tmp_path))
    assert aperture_train("export", *plain, "--name", "digits", "--data", str(trained.data)) == 0
    folder = ModelFolder("digits", tmp_path / "digits")
    runtime = replace(runtime, precision="auto")
    int8, fp32 = (
        start(folder, number, folder.read_config(), runtime).config.parameters for number in (1, 2)
    )
    assert (int8["execution_precision"], fp32["execution_precision"]) == ("int8", "fp32")
    assert int8["precision"] == "int8"
    assert "precision" not in fp32
    assert int8["metric_model_sha256"] != fp32["metric_model_sha256"]
    assert "execution_warning" not in int8.keys() | fp32.keys()


def picture_samples(folder: Path) -> list[Sample]:
    samples = []
    for seed in range(3):
        path = folder / f"{seed}.png"
        path.write_bytes(noise_png(seed, 64, 48))
        samples.append(Sample(path, None))
    return samples


def quantised_of(checkpoint: Checkpoint, repository: Path, name: str) -> None:
    task = load_task(checkpoint.origin.task)
    module = task.serving_module(task.load_model(checkpoint.folder))
    config = read_model_config(repository / name)
    plain = repository / name / "1" / "model.onnx"
    quantised = repository / "int8.onnx"
    quantise(
        Export(task, module, config, checkpoint.labels),
        plain,
        quantised,
        picture_samples(repository),
    )
    types = [node.op_type for node in onnx.load_model(quantised).graph.node]
    assert types.count("QuantizeLinear") > 10
    session = ort.InferenceSession(quantised)
    for batch in (1, 3):
        outputs = session.run(None, random_inputs(task, config, batch))
        for spec, output in zip(config.outputs, outputs, strict=True):
            assert output.shape == (batch, *spec.dims)
            assert np.isfinite(output).all()


def test_a_segmenter_is_quantised(tmp_path: Path) -> None:
    checkpoint = publish_segmenter(tmp_path / "repository", "s", "segformer-tiny", 64)
    quantised_of(checkpoint, tmp_path / "repository", "s")


@pytest.mark.parametrize("model", ["detr-tiny", "rtdetr-v2-tiny"])
def test_a_detector_is_quantised(tmp_path: Path, model: str) -> None:
    checkpoint = publish_detector(tmp_path / "repository", "d", model, 64)
    quantised_of(checkpoint, tmp_path / "repository", "d")
