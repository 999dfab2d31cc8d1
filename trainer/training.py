"""A model and a dataset -> checkpoints: the training whole, and what happens beside its steps.

A run that is resumed goes on from its checkpoint as if nothing had been in between.
"""

from pathlib import Path

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from transformers import PreTrainedModel, ProgressCallback, TrainerCallback
from transformers.integrations.integration_utils import TensorBoardCallback

from trainer.callbacks import EpochEnd, Milestones, Progress, Stopping, is_finite
from trainer.checkpoints import steps_of
from trainer.epoch_trainer import EpochTrainer
from trainer.errors import Diverged
from trainer.job import Job
from trainer.shared_norms import share_norms
from trainer.threads import fitting_threads


def train(job: Job, model: PreTrainedModel, resume_from: Path | None) -> None:
    """Train `model` to the end of the last epoch, leaving a checkpoint of each in the run's folder.

    Of no epoch at all, the checkpoint of the weights that it starts from.

    Args:
        job: What to train on, and how.
        model: The fp32 model; changed in place.
        resume_from: A whole checkpoint whose run this one continues, or None.

    Raises:
        Diverged: The weights are no numbers any more.
        Stopped: The caller asked for it; what was trained is in a checkpoint.
    """
    if job.hardware.channels_last:
        # torch's stubs lack this overload.
        nn.Module.to(model, memory_format=torch.channels_last)  # type: ignore[call-overload]
    share_norms(model, job.wanted, job.hardware, job.processes.count)
    trainer = EpochTrainer(job, model)
    if job.wanted.num_train_epochs == 0:
        trainer.save_untrained()
        return
    trainer.remove_callback(ProgressCallback)
    progress = Progress(lines=not job.hooks.callbacks)
    for callback in (progress, *_callbacks(job, resume_from)):
        trainer.add_callback(callback)
    try:
        with fitting_threads(model, job.wanted.size), job.hooks.stop.deferred():
            trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
    except ValueError as err:  # a detector's loss refuses boxes that are no numbers
        if is_finite(model):
            raise
        raise Diverged(job.wanted.learning_rate) from err
    finally:
        progress.close()


def _callbacks(job: Job, resume_from: Path | None) -> list[TrainerCallback]:
    """What happens beside the steps, in its order: the end that is asked for comes last."""
    callbacks: list[TrainerCallback] = [
        EpochEnd(),
        Milestones(job.wanted, job.task.main_metric),
    ]
    if job.processes.is_main:
        purge = steps_of(resume_from) + 1 if resume_from is not None else None
        writer = SummaryWriter(str(job.event_dir), purge_step=purge)
        callbacks.append(TensorBoardCallback(writer))
    return [*callbacks, *job.hooks.callbacks, Stopping(job.hooks.stop, job.processes)]
