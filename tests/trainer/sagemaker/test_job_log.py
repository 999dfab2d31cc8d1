"""The log of a whole training, stdout and stderr, in which a tuning job looks for its metrics."""

import re
from dataclasses import dataclass
from typing import Final

import pytest

from tests.trainer.coco_folders import write_coco_folder
from trainer.checkpoints import newest_whole
from trainer.hardware import choose_hardware
from trainer.job import Hooks, Job
from trainer.processes import start_processes
from trainer.report import epoch_metrics
from trainer.sagemaker.object_detection import ObjectDetection
from trainer.tasks.detection import TASK
from trainer.training import train

EPOCHS: Final = 2


@dataclass(frozen=True, slots=True)
class Log:
    """What a training printed, and what its checkpoint says of each epoch."""

    text: str
    epochs: list[dict[str, float]]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("boxes")
    data = write_coco_folder(folder / "data", {"train": 6, "validation": 2})
    asked = ObjectDetection.parse(
        {"model_id": "detr-tiny", "input_size": "64", "epochs": str(EPOCHS)}
    )
    wanted, dataset, run_dir = asked.recipe(), TASK.read(data), folder / "run"
    hardware, hooks = choose_hardware(wanted), Hooks(callbacks=(asked.log_lines(),))
    processes = start_processes()
    job = Job(TASK, dataset, wanted, hardware, processes, run_dir, run_dir / "events", hooks)
    with pytest.MonkeyPatch.context() as patch:
        written: list[str] = []
        patch.setattr("sys.stdout.write", written.append)
        patch.setattr("sys.stderr.write", written.append)
        train(job, TASK.build_model(wanted, dataset.labels), None)
    newest = newest_whole(run_dir)
    assert newest is not None
    return Log("".join(written), epoch_metrics(newest))


@pytest.mark.parametrize(
    ("regex", "metric"),
    [
        (r"Val_localization=([0-9\\.]+)", "validation_loss_localization"),
        (r"Val_classification=([0-9\\.]+)", "validation_loss_classification"),
        (r"loss=([0-9\\.]+).", "loss"),
    ],
)
def test_a_metric_stands_in_it_once_an_epoch(log: Log, regex: str, metric: str) -> None:
    found = [float(number) for number in re.findall(regex, log.text)]
    expected = [epoch[metric] for epoch in log.epochs]
    assert len(expected) == EPOCHS
    assert found == pytest.approx(expected, abs=1e-4)
