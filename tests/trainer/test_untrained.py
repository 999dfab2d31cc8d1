"""No epoch, or the smallest part of one, ends with a checkpoint, metrics and a version too."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.trainer.coco_folders import write_coco_folder
from tests.trainer.conftest import aperture_train
from tests.trainer.segmentation_folders import LABELS, write_blocks
from trainer.checkpoints import is_whole
from trainer.tasks import TASKS, TaskName, load_task


def write_boxes(folder: Path) -> Path:
    return write_coco_folder(folder, {"train": 8, "validation": 2, "test": 2})


@dataclass(frozen=True, slots=True)
class Case:
    """A task, a small model of it, and a dataset with its labels."""

    task: TaskName
    size: str
    labels: tuple[str, ...]
    write: Callable[[Path], Path]


SEGMENTER = Case("semantic-segmentation", "segformer-tiny", LABELS, write_blocks)
DETR = Case("object-detection", "detr-tiny", ("square", "disc"), write_boxes)
# At first all of its anchors have one score, and at 64 there are fewer than its configuration's 300.
DFINE = Case("object-detection", "dfine-nano", ("square", "disc"), write_boxes)


def each(*cases: Case) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.size)


def fit(task: TaskName, folder: Path, *more: str) -> int:
    return aperture_train(
        *("fit", "--task", task, "--data", str(folder / "data"), "--name", "some"),
        *("--model_repository", str(folder / "repo"), "--output_dir", str(folder / "run")),
        *("--input_size", "64", *more),
    )


@each(SEGMENTER, DETR, DFINE)
def test_no_epoch_publishes_the_starting_weights_evaluated(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    case: Case,
) -> None:
    case.write(tmp_path / "data")
    wanted = TASKS[case.task].hyperparameters(model=case.size)  # type: ignore[call-arg]  # the others have defaults in every task
    load_task(case.task).of(wanted).build_model(case.labels).save_pretrained(tmp_path / "start")
    flags = ("--model", str(tmp_path / "start"), "--num_train_epochs", "0")
    assert fit(case.task, tmp_path, *flags) == 0
    assert "event=untrained reason=num_train_epochs_0" in caplog.text

    checkpoint = tmp_path / "run" / "checkpoint-0"
    assert is_whole(checkpoint)
    start, saved = (
        load_file(folder / "model.safetensors") for folder in (tmp_path / "start", checkpoint)
    )
    names = start.keys() & saved.keys()  # frozen norms do not save their counts
    assert {name.rpartition(".")[2] for name in start.keys() ^ saved.keys()} <= {
        "num_batches_tracked"
    }
    assert all(torch.equal(start[name], saved[name]) for name in names)

    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["checkpoint"], metrics["epochs"]) == ("checkpoint-0", [])
    assert set(metrics["splits"]) == {"validation", "test"}
    found = tmp_path / "found.json"
    where = ("--data", str(tmp_path / "data"), "--task", case.task, "--output", str(found))
    source = ("--model_repository", str(tmp_path / "repo"), "--name", "some")
    assert aperture_train("evaluate", *where, *source) == 0
    again = json.loads(found.read_text())["test"]
    assert again == pytest.approx(metrics["splits"]["test"], abs=1e-4)

    assert fit(case.task, tmp_path, *flags) == 0
    assert "was published by this run before" in capsys.readouterr().out


@each(SEGMENTER, DETR)
def test_smallest_part_of_an_epoch_is_one_step(tmp_path: Path, case: Case) -> None:
    case.write(tmp_path / "data")
    assert fit(case.task, tmp_path, "--model", case.size, "--num_train_epochs", "1e-6") == 0
    assert is_whole(tmp_path / "run" / "checkpoint-1")
    assert (tmp_path / "repo" / "some" / "1" / "model.onnx").is_file()
    assert len(json.loads((tmp_path / "run" / "metrics.json").read_text())["epochs"]) == 1
