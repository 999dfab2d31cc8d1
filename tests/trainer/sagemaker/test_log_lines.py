"""Tuning jobs find each metric in a job's log by the regular expressions that they have for it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from tests.trainer.sagemaker.job import asked
from trainer.sagemaker.log_lines import Epoch, LogLines, detection_lines, mean_by_steps
from trainer.tasks import TaskName

HEAD: Final = r"\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d INFO \d+\] "

EVALUATED: Final[Mapping[TaskName, Mapping[str, float]]] = {
    "image-classification": {
        "loss": 0.51,
        "accuracy": 0.875,
        "f1": 0.5,
        "top_k_accuracy_2": 0.96875,
    },
    "semantic-segmentation": {
        "loss": 0.52,
        "mean_iou": 0.41,
        "overall_accuracy": 0.9,
        "per_category_iou/road": 0.3,
    },
    "object-detection": {
        "loss": 0.53,
        "loss_localization": 0.00001234,
        "loss_classification": 0.4,
        "map": 0.25,
    },
}

# as documents and published jobs write them: those of the guide have two backslashes, which in a
# set of characters mean the same
REGEXES: Final[list[tuple[TaskName, str, str]]] = [
    ("image-classification", r"Train-accuracy=([0-9\.]+)", "0.750000"),
    ("image-classification", r"Validation-accuracy=([0-9\.]+)", "0.875000"),
    ("image-classification", r"Validation-top_k_accuracy_2=([0-9\.]+)", "0.968750"),
    ("image-classification", r"Train-top_k_accuracy_2=([0-9\.]+)", "0.900000"),
    ("image-classification", r"Epoch\[18\] Validation-accuracy=([0-9\.]+)", "0.875000"),
    ("image-classification", r"train:accuracy=([0-9\.]+)", "0.750000"),
    ("image-classification", r"validation:accuracy=([0-9\.]+)", "0.875000"),
    ("image-classification", r"Time cost=([0-9\.]+)", "0.000"),
    ("semantic-segmentation", r"validation:mIOU=([0-9\.]+)", "0.410000"),
    ("semantic-segmentation", r"validation:pixel_accuracy=([0-9\.]+)", "0.900000"),
    ("semantic-segmentation", r"train:loss=([0-9\.]+)", "0.600000"),
    ("object-detection", r"Val_localization=([0-9\\.]+)", "0.000012"),
    ("object-detection", r"Val_classification=([0-9\\.]+)", "0.400000"),
    ("object-detection", r"loss=([0-9\\.]+).", "0.600000"),
]


def printed(task: TaskName, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of an epoch of ten steps, whose training is logged twice."""
    lines, control = LogLines(task), TrainerControl()
    args = TrainingArguments(output_dir=str(folder), report_to="none", use_cpu=True)
    state = TrainerState(global_step=180, epoch=18.0)
    lines.on_epoch_begin(args, state, control)
    for step, loss, accuracy in ((184, 0.9, 0.9), (190, 0.4, 0.65)):
        state.global_step = step
        logs = {"loss": loss, "accuracy": accuracy, "top_k_accuracy_2": 0.9, "grad_norm": 1.0}
        lines.on_log(args, state, control, logs=logs)
    lines.on_epoch_end(args, state, control)
    state.epoch = 19.0
    metrics = {f"eval_{name}": value for name, value in EVALUATED[task].items()}
    lines.on_log(args, state, control, logs=metrics)
    lines.on_evaluate(args, state, control, metrics=metrics)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(("task", "regex", "number"), REGEXES)
def test_a_regular_expression_finds_its_number_alone(
    task: TaskName, regex: str, number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        match[1] for line in printed(task, tmp_path, capsys) if (match := re.search(regex, line))
    ]
    assert found == [number]


@pytest.mark.parametrize("task", EVALUATED)
def test_a_line_begins_as_the_built_in_algorithms_lines(
    task: TaskName, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(task, tmp_path, capsys)
    assert lines
    for line in lines:
        assert re.match(rf"{HEAD}Epoch\[18\] \S", line), line


def test_classification_has_the_lines_of_mxnet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    *lines, _ = printed("image-classification", tmp_path, capsys)
    assert [re.sub(HEAD, "", line) for line in lines] == [
        "Epoch[18] Train-accuracy=0.750000",
        "Epoch[18] Train-top_k_accuracy_2=0.900000",
        "Epoch[18] Time cost=0.000",
        "Epoch[18] Validation-accuracy=0.875000",
        "Epoch[18] Validation-top_k_accuracy_2=0.968750",
        "Epoch[18] train:accuracy=0.750000, train:top_k_accuracy_2=0.900000, "
        "validation:accuracy=0.875000, validation:top_k_accuracy_2=0.968750",
    ]


def test_a_validation_without_objects_has_a_line_without_map() -> None:
    validated = dict(EVALUATED["object-detection"])
    del validated["map"]
    _, line = detection_lines(Epoch(0, 1.0, {"loss": 0.6}, validated))
    assert line == "loss=0.600000, Val_localization=0.000012, Val_classification=0.400000"


@pytest.mark.parametrize("task", EVALUATED)
def test_every_metric_stands_in_json_by_its_own_name(
    task: TaskName, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = printed(task, tmp_path, capsys)[-1]
    metrics = json.loads(last.partition(" metrics ")[2])
    assert metrics["validation"] == EVALUATED[task]
    assert metrics["train"]["loss"] == pytest.approx(0.6)


def test_only_the_main_process_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = TrainingArguments(output_dir=str(tmp_path), report_to="none", use_cpu=True)
    state = TrainerState(epoch=1.0, is_world_process_zero=False)
    metrics = {f"eval_{name}": value for name, value in EVALUATED["object-detection"].items()}
    LogLines("object-detection").on_evaluate(args, state, TrainerControl(), metrics=metrics)
    assert capsys.readouterr().out == ""


def test_a_mean_goes_by_steps() -> None:
    logged = [(14, {"loss": 1.0}), (16, {"loss": 4.0, "accuracy": 0.5})]
    assert mean_by_steps(logged, since=10) == {"loss": 2.0, "accuracy": 0.5}
    assert mean_by_steps([], since=10) == {}
    assert mean_by_steps([(10, {"loss": 1.0})], since=10) == {}


@pytest.mark.parametrize("task", EVALUATED)
def test_an_algorithm_prints_its_own_lines(task: TaskName) -> None:
    assert isinstance(asked(task).log_lines(), LogLines)
