"""A training job whose words are good -> its model, in this process: what needs torch.

The run's folder is the container's checkpoint folder, so that a job that was broken off, as a spot
machine is, goes on when it is started again with that folder.
"""

import logging
from functools import partial
from pathlib import Path

import torch

from contract.labels import read_labels
from contract.model_config import LABELS_FILE
from trainer.checkpoints import open_checkpoint
from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.commands import what_was_done
from trainer.datasets.dataset import Dataset
from trainer.errors import JobConflict, PeersLost, RunConflict, WeightsUnavailable
from trainer.fit import FitResult, fit
from trainer.hyperparameters import Hyperparameters
from trainer.job import Hooks
from trainer.sagemaker.archive import write_archive
from trainer.sagemaker.artefacts import copy_checkpoint, copy_metrics, write_labels
from trainer.sagemaker.channel_names import unread_note
from trainer.sagemaker.hyperparameters import Host
from trainer.sagemaker.incremental import MODEL_CHANNEL, check_classes
from trainer.sagemaker.training_job import TrainingJob
from trainer.settings import FitSettings
from trainer.stopping import StopRequest
from trainer.tasks.task import Task

_CLASS_COUNT = "num_classes"
_OTHER_WEIGHTS = (
    "give the job a way to the hub or a cache of it (HF_HOME), a model of Aperture in the model "
    "channel, or use_pretrained_model False (image classification: 0) to start from random weights"
)
_DAMAGED = "the model channel's archive is damaged; copy it again from the job that made it"
_LOST_PEER = ("Connection closed by peer", "Connection reset by peer", "NCCL error", "timed out")

logger = logging.getLogger(__name__)


def run_job(job: TrainingJob, processes: int, stop: StopRequest) -> str:
    """Train, evaluate and publish; what the command prints.

    Args:
        job: The job.
        processes: Processes of this host that do so, this one among them.
        stop: How it is asked to end.

    Raises:
        TrainerError: The data, the checkpoints or the machine do not fit what is wanted.
        ContractError: The model cannot be published.
    """
    host = Host(processes, has_gpu=torch.cuda.is_available())
    recipe, about_model = _beside_model_channel(job, job.asked.recipe(host))
    unread = unread_note(job.container.channels, job.settings.algorithm, job.asked.channels)
    for note in [*job.asked.notes(host), *unread, *about_model]:
        logger.warning("event=note %s", note)
    accompany = partial(copy_checkpoint, architecture=job.architecture)
    hooks = Hooks((job.asked.log_lines(),), stop, job.start, accompany, train_metrics=True)
    try:
        result = fit(_fit_settings(job), recipe, partial(_read, job), hooks)
    except WeightsUnavailable as err:
        advice = _OTHER_WEIGHTS if job.start is None else _DAMAGED
        raise WeightsUnavailable(err.source, err.reason, advice) from err
    except RunConflict as err:
        raise JobConflict(err.faults) from err
    except RuntimeError as err:  # what gloo and torch raise for NCCL where a process is gone
        if job.container.hosts.count * processes > 1 and any(x in str(err) for x in _LOST_PEER):
            raise PeersLost(job.container.hosts.current, str(err).splitlines()[0]) from err
        raise
    return "" if result is None else _leave(job, result)


def _beside_model_channel(
    job: TrainingJob, recipe: Hyperparameters
) -> tuple[Hyperparameters, list[str]]:
    """The recipe of a job that may have a `model` channel, and what there is to say of that."""
    if MODEL_CHANNEL not in job.container.channels:
        return recipe, []
    if job.start is None:
        source = f"the hub's weights of {recipe.model}" if recipe.pretrained else "random weights"
        return recipe, [
            "model: TensorFlow's weights in the model channel are not read; the training starts as "
            f"without it, from {source}"
        ]
    notes = _kind_notes(job.start, recipe)
    if recipe.pretrained:
        notes.append("use_pretrained_model: the model channel's weights go before")
    if recipe.reinitialize_top_layer == "auto":  # of as many classes, whatever they are called
        recipe = recipe.model_copy(update={"reinitialize_top_layer": "false"})
    return recipe, notes


def _kind_notes(start: Path, recipe: Hyperparameters) -> list[str]:
    """A line where a classifier's labels exclude each other, and are to do so no more, or back."""
    if not isinstance(recipe, ClassificationHyperparameters):
        return []
    before = open_checkpoint(start).origin.parameters.get("multi_label") == "true"
    if before == recipe.multi_label:
        return []
    scores = "sigmoid" if recipe.multi_label else "softmax"
    return [
        f"multi_label: the model in the model channel has {int(before)}, this job wants "
        f"{int(recipe.multi_label)}; all of its weights are kept, its scores become {scores}"
    ]


def _leave(job: TrainingJob, result: FitResult) -> str:
    """Leave what SageMaker's users look for beside the model; what the command prints."""
    model_dir = result.published.model_dir
    assert isinstance(model_dir, Path)  # noqa: S101 - the model folder is one
    write_labels(job.folders.model, read_labels(model_dir / LABELS_FILE))
    copy_metrics(job.folders.checkpoints, job.folders)
    text = what_was_done(result)
    if job.settings.archive is None:
        return text
    write_archive(job.folders.model, job.settings.archive)
    return f"{text}\nwrote {job.settings.archive}"


def _fit_settings(job: TrainingJob) -> FitSettings:
    return FitSettings(
        task=job.settings.algorithm,
        data=job.folders.data,
        model_repository=job.folders.model,
        name=job.settings.name,
        output_dir=job.folders.checkpoints,
        tensorboard_dir=job.folders.tensorboard,
        skip_bad_images=job.settings.skip_bad_images,
        restart=job.settings.restart,
    )


def _read(job: TrainingJob, _task: Task, _data: Path) -> Dataset:
    """The dataset in the job's channels; of a model that is trained further, of the same classes."""
    channels = {
        name: channel for name, channel in job.container.channels.items() if name != MODEL_CHANNEL
    }
    dataset = job.asked.read(channels, job.workspace)
    if job.start is not None and _CLASS_COUNT not in job.architecture.values:
        check_classes(open_checkpoint(job.start), dataset.labels)
    return dataset
