"""What a user has on the disk is never lost, and a mistake is told before it costs anything."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.trainer.conftest import FAST, Trained, aperture_train, fit_flags, problems
from trainer.errors import RunBusy, RunUnwritable
from trainer.run_record import locked


def one_epoch(trained: Trained, folder: Path, *more: str) -> tuple[str, ...]:
    flags = fit_flags(trained.data, folder / "repository", "digits")
    return (*flags, "--output_dir", str(folder / "run"), "--num_train_epochs", "1", *more)


def test_checkpoints_of_another_program_are_left_alone(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = tmp_path / "run" / "checkpoint-500" / "model.safetensors"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("theirs")
    for more in ((), ("--restart",)):
        assert aperture_train(*one_epoch(trained, tmp_path, *FAST, *more)) == 1
        (line,) = problems(capsys.readouterr().err)
        assert "holds checkpoint-N folders, but no run.json; give another --output_dir" in line
    assert foreign.read_text() == "theirs"


def test_restart_with_a_mistake_keeps_the_finished_run(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained.run_dir, tmp_path / "run")
    before = sorted(path for path in (tmp_path / "run").rglob("*") if path.is_file())
    wrong = one_epoch(trained, tmp_path, *FAST, "--restart", "--model", "resnt-tiny")
    assert aperture_train(*wrong) == 2
    assert "model: got 'resnt-tiny'" in problems(capsys.readouterr().err)[0]
    assert sorted(path for path in (tmp_path / "run").rglob("*") if path.is_file()) == before


def test_a_folder_is_one_runs_at_a_time(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "run"),
        pytest.raises(RunBusy, match="another process is training in this folder"),
        locked(tmp_path / "run"),
    ):
        raise AssertionError("two runs in one folder")
    with locked(tmp_path / "run"):
        pass


def test_a_folder_that_cannot_be_written_is_a_bad_option() -> None:
    run_dir = Path("/sys/run")  # where no user can make a folder, be it root
    expected = f"/sys/run cannot be written as uid {os.getuid()}: .*; let this user write to it, "
    with pytest.raises(RunUnwritable, match=expected) as raised, locked(run_dir):
        pass
    assert raised.value.exit_code == 2


def test_a_folder_that_is_not_the_runs_is_found_before_the_dataset_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = fit_flags(tmp_path / "no-dataset", tmp_path / "repository", "digits", *FAST)
    assert aperture_train(*flags, "--output_dir", "/sys/run") == 2
    (line,) = problems(capsys.readouterr().err)
    assert line.startswith("/sys/run cannot be written as uid ")
    with locked(tmp_path / "runs" / "digits"):
        assert aperture_train(*flags) == 1
    (line,) = problems(capsys.readouterr().err)
    assert "another process is training in this folder" in line


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "vit"}, "is a model of the kind 'vit'; expected one of resnet"),
        ({"model_type": "resnet", "depths": [1], "hidden_sizes": [8]}, "lacks"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused_not_silently_random(
    trained: Trained,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    config: dict[str, object],
    message: str,
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text(json.dumps(config))
    save_file({"unrelated": torch.zeros(1)}, source / "model.safetensors", {"format": "pt"})
    assert aperture_train(*one_epoch(trained, tmp_path, "--model", str(source))) == 1
    assert message in problems(capsys.readouterr().err)[0]
    assert not (tmp_path / "repository").exists()


def test_truncated_weights_are_one_line(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text(json.dumps({"model_type": "resnet"}))
    (source / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    assert aperture_train(*one_epoch(trained, tmp_path, "--model", str(source))) == 1
    assert len(problems(capsys.readouterr().err)) == 1


def test_a_folder_that_is_a_file_is_one_line(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").touch()
    assert aperture_train(*one_epoch(trained, tmp_path, *FAST)) == 1
    assert str(tmp_path / "run") in problems(capsys.readouterr().err)[0]
    (tmp_path / "repository").touch()
    (tmp_path / "run").unlink()
    assert aperture_train(*one_epoch(trained, tmp_path, *FAST)) == 1
    assert "cannot write to" in problems(capsys.readouterr().err)[0]


def test_a_diverged_training_stays_diverged(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wild = one_epoch(trained, tmp_path, *FAST, "--learning_rate", "1e38", "--precision", "fp32")
    for _ in range(2):
        assert aperture_train(*wild) == 1
        assert "the training diverged" in problems(capsys.readouterr().err)[0]
    assert not (tmp_path / "repository").exists()


def test_an_unreadable_graph_is_one_line(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained.repository, tmp_path / "repository")
    (tmp_path / "repository" / "digits" / "1" / "model.onnx").write_bytes(b"no graph")
    argv = ("--data", str(trained.data), "--model_repository", str(tmp_path / "repository"))
    assert aperture_train("evaluate", *argv, "--name", "digits") == 1
    assert "model.onnx: onnxruntime cannot load it" in problems(capsys.readouterr().err)[0]
