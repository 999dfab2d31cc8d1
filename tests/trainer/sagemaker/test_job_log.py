"""The log of a whole training, stdout and stderr, in which a tuning job looks for its metrics."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from transformers.trainer import TRAINER_STATE_NAME

from tests.trainer.coco_folders import write_coco_folder
from tests.trainer.conftest import write_digits
from tests.trainer.sagemaker.job import asked
from trainer.checkpoints import newest_whole
from trainer.hardware import choose_hardware
from trainer.job import Hooks, Job
from trainer.processes import start_processes
from trainer.sagemaker.hyperparameters import SageMakerHyperparameters
from trainer.tasks import TaskName, load_task
from trainer.training import train

EPOCHS: Final = "2"


@dataclass(frozen=True, slots=True)
class Log:
    """What a training printed, and its own record of it."""

    text: str
    history: list[dict[str, float]]

    def found(self, regex: str) -> list[float]:
        """The numbers that a tuning job would take from the log."""
        return [float(number) for number in re.findall(regex, self.text)]

    def recorded(self, name: str) -> list[float]:
        """A metric at each epoch's end."""
        return [entry[name] for entry in self.history if name in entry]


@contextmanager
def written() -> Iterator[list[str]]:
    """What is written to stdout and stderr."""
    texts: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout.write", texts.append)
        patch.setattr("sys.stderr.write", texts.append)
        yield texts


def log_of(name: TaskName, job: SageMakerHyperparameters, data: Path, run_dir: Path) -> Log:
    """Train on a folder as `aperture-train train` does on channels, and read the log."""
    wanted = job.recipe()
    task, dataset = load_task(name).of(wanted), load_task(name).read(data)
    hooks = Hooks(callbacks=(job.log_lines(),), train_metrics=True)
    hardware, processes = choose_hardware(wanted), start_processes()
    model = task.build_model(dataset.labels)
    with written() as texts:
        train(
            Job(task, dataset, hardware, processes, run_dir, run_dir / "events", hooks),
            model,
            None,
        )
    newest = newest_whole(run_dir)
    assert newest is not None
    state = json.loads((newest / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    return Log("".join(texts), state["log_history"])


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("boxes")
    data = write_coco_folder(folder / "data", {"train": 6, "validation": 2})
    job = asked("object-detection", model_id="detr-tiny", input_size="64", epochs=EPOCHS)
    return log_of("object-detection", job, data, folder / "run")


@pytest.fixture(scope="module")
def digits_log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("digits_log")
    data = write_digits(folder / "data", {"train": 4, "validation": 2}, range(3))
    job = asked(
        "image-classification",
        num_classes="3",
        num_layers="20",
        image_shape="3,8,8",
        mini_batch_size="4",
        top_k="2",
        epochs=EPOCHS,
    )
    return log_of("image-classification", job, data, folder / "run")


@pytest.mark.parametrize(
    ("regex", "metric"),
    [
        (r"Val_localization=([0-9\\.]+)", "eval_loss_localization"),
        (r"Val_classification=([0-9\\.]+)", "eval_loss_classification"),
        (r"loss=([0-9\\.]+).", "loss"),
    ],
)
def test_a_detectors_losses_stand_in_it_once_an_epoch(boxes: Log, regex: str, metric: str) -> None:
    recorded = boxes.recorded(metric)
    assert len(recorded) == int(EPOCHS)
    assert boxes.found(regex) == pytest.approx(recorded, abs=1e-4)


@pytest.mark.parametrize(
    ("regex", "metric"),
    [
        (r"Train-accuracy=([0-9\.]+)", "accuracy"),
        (r"train:accuracy=([0-9\.]+)", "accuracy"),
        (r"Train-top_k_accuracy_2=([0-9\.]+)", "top_k_accuracy_2"),
        (r"Validation-accuracy=([0-9\.]+)", "eval_accuracy"),
        (r"validation:accuracy=([0-9\.]+)", "eval_accuracy"),
        (r"Validation-top_k_accuracy_2=([0-9\.]+)", "eval_top_k_accuracy_2"),
    ],
)
def test_a_classifiers_accuracies_stand_in_it_once_an_epoch(
    digits_log: Log, regex: str, metric: str
) -> None:
    recorded = digits_log.recorded(metric)
    assert len(recorded) == int(EPOCHS)
    assert digits_log.found(regex) == pytest.approx(recorded, abs=1e-6)
