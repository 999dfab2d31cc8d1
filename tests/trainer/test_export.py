"""The exported graph computes what the model does, at any batch size, or is not published."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from contract.model_config import read_model_config
from tests.trainer.conftest import FAST, Trained, aperture_train, fit_flags, problems
from trainer.checkpoints import open_checkpoint
from trainer.errors import ExportMismatch
from trainer.export import check_onnx, random_inputs, write_onnx
from trainer.run_record import LOCK_FILE
from trainer.tasks.classification import TASK


class OffByALittle(nn.Module):
    """A module whose scores are another one's, a little larger."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: Tensor) -> tuple[Tensor]:
        (scores,) = self.module(image)
        return (scores + 2e-4,)


class OffOnce(OffByALittle):
    """A module whose first answer alone is off by a little."""

    first = True

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """Scores[B, K] of image[B, H, W, 3]."""
        first, self.first = self.first, False
        return super().forward(image) if first else self.module(image)


def serving_module(trained: Trained) -> nn.Module:
    checkpoint = open_checkpoint(trained.run_dir)
    return TASK.serving_module(TASK.load_model(checkpoint.folder)).eval()


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_onnx_equals_torch_at_batch_sizes_that_were_not_traced(
    trained: Trained, batch: int
) -> None:
    model_dir = trained.repository / trained.name
    session = onnxruntime.InferenceSession(model_dir / "1" / "model.onnx")
    image = random_inputs(TASK, read_model_config(model_dir), batch)["image"]
    with torch.inference_mode():
        (expected,) = serving_module(trained)(torch.from_numpy(image))
    (scores,) = session.run(["scores"], {"image": image})
    assert scores.shape == (batch, 4)
    np.testing.assert_allclose(scores, expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_graph_that_disagrees_with_its_model_is_refused(trained: Trained, tmp_path: Path) -> None:
    config = read_model_config(trained.repository / trained.name)
    module = serving_module(trained)
    write_onnx(TASK, module, config, tmp_path / "model.onnx")
    check_onnx(TASK, module, config, tmp_path / "model.onnx")
    with pytest.raises(
        ExportMismatch, match=r"scores differs from the model's by 0\.0002 at batch"
    ):
        check_onnx(TASK, OffByALittle(module), config, tmp_path / "model.onnx")


def test_a_tie_that_the_runtimes_round_differently_is_drawn_anew(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = read_model_config(trained.repository / trained.name)
    module = serving_module(trained)
    write_onnx(TASK, module, config, tmp_path / "model.onnx")
    check_onnx(TASK, OffOnce(module), config, tmp_path / "model.onnx")
    (warning,) = [record for record in caplog.records if "export_check" in record.message]
    assert "batch=1 draw=0 output=scores" in warning.message


@pytest.mark.parametrize("source", ["", "checkpoint-30"])
def test_export_publishes_what_fit_did(trained: Trained, tmp_path: Path, source: str) -> None:
    argv = ("--checkpoint", str(trained.run_dir / source), "--model_repository", str(tmp_path))
    assert aperture_train("export", *argv, "--name", "digits") == 0
    ours, theirs = tmp_path / "digits", trained.repository / "digits"
    assert (ours / "config.pbtxt").read_text() == (theirs / "config.pbtxt").read_text()
    assert (ours / "1" / "model.onnx").read_bytes() == (theirs / "1" / "model.onnx").read_bytes()


def test_export_of_an_earlier_checkpoint_claims_no_metrics_and_is_the_next_version(
    trained: Trained, tmp_path: Path
) -> None:
    for checkpoint in ("checkpoint-10", "checkpoint-20"):
        argv = ("--checkpoint", str(trained.run_dir / checkpoint), "--name", "digits")
        assert aperture_train("export", *argv, "--model_repository", str(tmp_path)) == 0
    assert sorted(path.name for path in (tmp_path / "digits").glob("[0-9]")) == ["1", "2"]
    parameters = read_model_config(tmp_path / "digits").parameters
    assert "validation_accuracy" not in parameters
    assert parameters["base_model"] == "resnet-tiny"


def test_name_with_another_interface_is_refused_before_anything_is_read(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = Path(shutil.copytree(trained.repository, tmp_path / "repository"))
    flags = fit_flags(trained.data, repository, "digits", *FAST, "--input_size", "24")
    assert aperture_train(*flags) == 1
    assert "serves a model with other inputs" in problems(capsys.readouterr().err)[0]
    assert [path.name for path in (tmp_path / "runs" / "digits").iterdir()] == [LOCK_FILE]


def test_folder_that_is_no_checkpoint_is_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Path(shutil.copytree(trained.run_dir / "checkpoint-30", tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"short")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text(json.dumps({"model_type": "resnet"}))
    (foreign / "model.safetensors").write_bytes(b"")
    for folder in (tmp_path, broken, foreign):
        argv = ("--checkpoint", str(folder), "--model_repository", str(tmp_path / "repository"))
        assert aperture_train("export", *argv, "--name", "digits") == 1
    empty, incomplete, other = problems(capsys.readouterr().err)
    assert "holds neither config.json nor a whole checkpoint-N" in empty
    assert "is incomplete: files differ from its manifest" in incomplete
    assert "config.json is not of a model that Aperture trained" in other
