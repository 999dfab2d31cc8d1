"""EasyMaker's own-algorithm container: variables in, a Triton model folder out."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from contract.errors import OptionsError
from contract.model_config import read_model_config
from contract.repository import list_versions
from tests.trainer.conftest import FAST, Trained
from trainer.checkpoints import newest_whole
from trainer.cli import run
from trainer.easymaker import read_container


def variables(trained: Trained, folder: Path) -> dict[str, str]:
    return {
        "EM_DATASET_TRAIN": str(trained.data / "train"),
        "EM_DATASET_VALIDATION": str(trained.data),  # either the split or what holds it
        "EM_MODEL_DIR": str(folder / "model"),
        "EM_CHECKPOINT_DIR": str(folder / "checkpoints"),
        "EM_TENSORBOARD_LOG_DIR": str(folder / "events"),
        "EM_HP_NUM_TRAIN_EPOCHS": "7",
        "EM_HP_TASK": "image-classification",
        "EM_REGION": "kr1",
    }


def test_the_container_leaves_a_triton_model_folder(trained: Trained, tmp_path: Path) -> None:
    environ = variables(trained, tmp_path)
    # The job's hyperparameters come as variables and as flags; the flags win.
    assert run(["fit", *FAST, "--num_train_epochs", "1"], environ) == 0
    assert list_versions(tmp_path / "model") == [1]
    assert read_model_config(tmp_path / "model").name == "model"
    assert (tmp_path / "model" / "1" / "model.onnx").is_file()
    assert list((tmp_path / "events").glob("events.*"))
    checkpoints = list((tmp_path / "checkpoints").glob("checkpoint-*"))
    assert len(checkpoints) == 1
    again = environ | {
        "EM_CHECKPOINT_DIR": str(tmp_path / "next"),
        "EM_CHECKPOINT_INPUT_DIR": str(tmp_path / "checkpoints"),
    }
    stamp = (tmp_path / "model" / "1" / "model.onnx").stat().st_mtime_ns
    assert run(["fit", *FAST, "--num_train_epochs", "1"], again) == 0
    assert [path.name for path in (tmp_path / "next").glob("checkpoint-*")] == [checkpoints[0].name]
    assert list_versions(tmp_path / "model") == [1]
    assert (tmp_path / "model" / "1" / "model.onnx").stat().st_mtime_ns == stamp


def test_another_training_starts_with_the_weights_of_the_checkpoint_input(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = variables(trained, tmp_path) | {"EM_CHECKPOINT_INPUT_DIR": str(trained.run_dir)}
    flags = ["fit", *FAST, "--num_train_epochs", "1", "--learning_rate", "0"]
    assert run(flags, environ) == 0
    former = load_file(newest(trained.run_dir) / "model.safetensors")
    weights = load_file(newest(tmp_path / "checkpoints") / "model.safetensors")
    learnt = [name for name in former if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(weights[name], former[name]) for name in learnt)
    assert list_versions(tmp_path / "model") == [1]
    caplog.clear()
    assert run(flags, environ) == 0  # started again, it is the same run
    assert not [record for record in caplog.records if "event=train" in record.message]


def test_the_same_training_publishes_to_another_folder(trained: Trained, tmp_path: Path) -> None:
    environ = variables(trained, tmp_path)
    flags = ["fit", *FAST, "--num_train_epochs", "1"]
    assert run(flags, environ) == 0
    moved = environ | {
        "EM_MODEL_DIR": str(tmp_path / "elsewhere"),
        "EM_CHECKPOINT_DIR": str(tmp_path / "next"),
        "EM_CHECKPOINT_INPUT_DIR": str(tmp_path / "checkpoints"),
    }
    assert run(flags, moved) == 0
    there = tmp_path / "elsewhere" / "1" / "model.onnx"
    assert there.read_bytes() == (tmp_path / "model" / "1" / "model.onnx").read_bytes()
    assert newest(tmp_path / "next").name == newest(tmp_path / "checkpoints").name


def test_a_checkpoint_input_without_checkpoints_is_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = variables(trained, tmp_path) | {"EM_CHECKPOINT_INPUT_DIR": str(tmp_path)}
    assert run(["fit", *FAST, "--num_train_epochs", "1"], environ) == 1
    assert f"{tmp_path}: holds no whole checkpoint-N to go on from" in capsys.readouterr().err


def newest(run_dir: Path) -> Path:
    checkpoint = newest_whole(run_dir)
    assert checkpoint is not None
    return checkpoint


def test_an_unknown_hyperparameter_of_the_job_is_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = variables(trained, tmp_path) | {"EM_HP_LEARNING_RAT": "1"}
    assert run(["fit"], environ) == 2
    assert "learning_rat: unknown option; did you mean learning_rate?" in capsys.readouterr().err


def test_outside_of_easymaker_there_is_no_container() -> None:
    assert read_container({"EM_DATASET_TRAIN": "/x", "HOME": "/"}) is None


def test_a_model_folder_without_a_training_dataset_is_refused() -> None:
    with pytest.raises(OptionsError, match="EM_DATASET_TRAIN is not"):
        read_container({"EM_MODEL_DIR": "/x/model"})
