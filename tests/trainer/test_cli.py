"""The command line: options from flags, a file and the environment, and answers to bad ones."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from tests.trainer.conftest import REQUIRED, aperture_train, problems
from trainer.cli import option_tables
from trainer.tasks import TASKS, TaskName


def test_first_six_hyperparameters_are_easymakers() -> None:
    rows = option_tables()["image-classification hyperparameters"][:6]
    assert [(row.name, row.type, row.default, row.range) for row in rows] == [
        ("input_size", "int", "28", "[4, inf)"),
        ("learning_rate", "float", "0.1", "[0, inf)"),
        ("per_device_train_batch_size", "int", "16", "[2, inf)"),
        ("per_device_eval_batch_size", "int", "16", "[1, inf)"),
        ("num_train_epochs", "int", "3", "[1, inf)"),
        ("logging_steps", "int", "500", "[500, inf)"),
    ]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("input_size", "3", "int in [4, inf)"),
        ("learning_rate", "-0.1", "float in [0, inf)"),
        ("learning_rate", "nan", "float in [0, inf)"),
        ("per_device_train_batch_size", "1", "int in [2, inf)"),
        ("per_device_eval_batch_size", "0", "int in [1, inf)"),
        ("num_train_epochs", "0.5", "int in [1, inf)"),
        ("logging_steps", "499", "int in [500, inf)"),
        ("augmentation", "flip", "none|crop|crop_color|crop_color_transform"),
    ],
)
def test_value_out_of_range_exits_2_and_names_field_value_and_range(
    capsys: pytest.CaptureFixture[str], name: str, value: str, expected: str
) -> None:
    assert aperture_train(*REQUIRED, f"--{name}={value}") == 2
    assert problems(capsys.readouterr().err) == [f"{name}: got {value!r}, expected {expected}"]


@pytest.mark.parametrize("environ", [{}, {"APERTURE_HP_MODEL": "resnet-18"}])
def test_weights_named_by_pretrained_and_another_model_exit_2(
    capsys: pytest.CaptureFixture[str], environ: dict[str, str]
) -> None:
    model = () if environ else ("--model", "resnet-18")
    assert aperture_train(*REQUIRED, "--pretrained", "some/id", *model, environ=environ) == 2
    (line,) = problems(capsys.readouterr().err)
    assert line.startswith("pretrained: got 'some/id' beside model 'resnet-18'; expected one of")


PLACED = {
    "fit": {"data": "d", "model_repository": "r", "name": "m", "task": "image-classification"},
    "export": {"checkpoint": "c", "model_repository": "r", "name": "m"},
    "evaluate": {"data": "d", "model_repository": "r", "name": "m"},
    "train": {"algorithm": "image-classification"},
}
NOT_LOCAL = "expected a path of this machine, not a URL"
NO_BUCKET = "expected a folder, or a URL: file:///FOLDER, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX"


@pytest.mark.parametrize(
    ("command", "name", "url", "expected"),
    [
        ("fit", "data", "https://nonexistent.invalid/data", NO_BUCKET),
        ("fit", "model_repository", "github://a:b@main/", NO_BUCKET),
        ("fit", "output_dir", "s3://b/runs", NOT_LOCAL),
        ("export", "data", "ftp://127.0.0.1:9/x", NO_BUCKET),
        ("export", "model_repository", "memory://b", NO_BUCKET),
        ("export", "checkpoint", "s3://b/runs", NOT_LOCAL),
        ("evaluate", "data", "http://127.0.0.1:9/x", NO_BUCKET),
        ("evaluate", "model_repository", "ftp://127.0.0.1:9/x", NO_BUCKET),
        ("evaluate", "output", "s3://b/metrics.json", NOT_LOCAL),
        ("train", "archive", "s3://b/model.tar.gz", NOT_LOCAL),
    ],
)
def test_a_place_that_cannot_be_used_exits_2_and_says_which_can(
    capsys: pytest.CaptureFixture[str],
    command: str,
    name: str,
    url: str,
    expected: str,
) -> None:
    flags = (f"--{key}={value}" for key, value in {**PLACED[command], name: url}.items())
    assert aperture_train(command, *flags) == 2
    assert problems(capsys.readouterr().err) == [f"{name}: got {url!r}, {expected}"]


def test_sample_data_are_not_drawn_into_a_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert aperture_train("sample-data", "s3://b/data") == 2
    assert NOT_LOCAL in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_unknown_flag_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert aperture_train(*REQUIRED, "--lerning_rate", "1") == 2
    assert problems(capsys.readouterr().err) == [
        "lerning_rate: unknown option; did you mean learning_rate?"
    ]


def test_unknown_name_in_file_suggests_the_nearest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "hyperparameters.json"
    file.write_text('{"num_epochs": 3}')
    assert aperture_train(*REQUIRED, "--hyperparameters", str(file)) == 2
    assert problems(capsys.readouterr().err) == [
        "num_epochs: unknown option; did you mean num_train_epochs?"
    ]


def test_unknown_variable_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert aperture_train(*REQUIRED, environ={"APERTURE_HP_INPUT_SISE": "28"}) == 2
    assert problems(capsys.readouterr().err) == [
        "input_sise: unknown option; did you mean input_size?"
    ]


def test_flag_wins_over_file_over_environment(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "hyperparameters.json"
    file.write_text(json.dumps({"input_size": "2"}))
    environ = {"APERTURE_HP_INPUT_SIZE": "1"}
    from_file = (*REQUIRED, "--hyperparameters", str(file))
    got = []
    for argv in [(*from_file, "--input_size", "3"), from_file, REQUIRED]:
        assert aperture_train(*argv, environ=environ) == 2
        got += problems(capsys.readouterr().err)
    assert [line.partition(",")[0] for line in got] == [
        "input_size: got '3'",
        "input_size: got '2'",
        "input_size: got '1'",
    ]


def test_settings_come_from_the_environment_too(capsys: pytest.CaptureFixture[str]) -> None:
    environ = {
        "APERTURE_TASK": "image-classification",
        "APERTURE_DATA": "no-such-folder",
        "APERTURE_MODEL_REPOSITORY": "nowhere",
        "APERTURE_NAME": "model",
    }
    assert aperture_train("fit", environ=environ) == 1
    assert problems(capsys.readouterr().err)[0].startswith("no-such-folder: not a folder")


@pytest.mark.parametrize("text", ["[1]", "{", ""])
def test_file_that_is_no_json_object_exits_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
) -> None:
    file = tmp_path / "hyperparameters.json"
    file.write_text(text)
    assert aperture_train(*REQUIRED, "--hyperparameters", str(file)) == 2
    assert problems(capsys.readouterr().err)[0].startswith(f"hyperparameters: {file}")


def test_missing_required_options_are_all_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert aperture_train("fit") == 2
    names = [line.partition(":")[0] for line in problems(capsys.readouterr().err)]
    assert names == ["task", "data", "model_repository", "name"]


def test_unknown_task_and_command_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert aperture_train("fit", "--task", "image-clasification") == 2
    assert aperture_train("fitt") == 2
    assert "image-classification" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--checkpoint", "a", "--url", "http://b"),
        ("--url", "http://b"),
        ("--model_repository", "b"),
    ],
)
def test_evaluate_wants_exactly_one_source(flags: tuple[str, ...]) -> None:
    assert aperture_train("evaluate", "--data", "nowhere", *flags) == 2


def test_bad_option_is_answered_without_importing_torch() -> None:
    code = (
        "import sys; from trainer.cli import run; code = run(['fit', '--lerning_rate', '1'], {});"
        "sys.exit(100 if {'torch', 'transformers', 'onnxruntime'} & set(sys.modules) else code)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert process.returncode == 2


def test_every_task_name_has_its_line_in_the_table() -> None:
    assert set(TASKS) == set(get_args(TaskName))


@pytest.mark.parametrize(("rank", "ends"), [("0", b"Python ended\n"), ("1", b"")])
def test_a_process_that_is_not_the_first_ends_without_pythons_own_end(
    rank: str, ends: bytes
) -> None:
    """In which torch's threads can abort it."""
    code = (
        "import atexit, sys; atexit.register(print, 'Python ended'); "
        "sys.argv[1:] = ['fit', '--lerning_rate=1']; from trainer.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "RANK": rank},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, ends), done.stderr
