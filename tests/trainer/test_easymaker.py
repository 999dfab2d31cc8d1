"""EasyMaker's own-algorithm container: variables in, a Triton model folder out."""

from pathlib import Path

import pytest

from contract.errors import OptionsError
from contract.model_config import read_model_config
from contract.repository import list_versions
from tests.trainer.conftest import FAST, Trained
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
