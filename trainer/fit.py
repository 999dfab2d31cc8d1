"""`aperture-train fit`: dataset folder -> scan -> training -> evaluation -> published model.

Each stage leaves its result on the disk before the next begins, and the same command goes on
from the last one that is whole: a broken training resumes from its last checkpoint, a finished
one is evaluated and published, a published one is left alone. The price is a read of the whole
dataset at every start, which is what tells a resumed run that its data are still the same.
"""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from transformers import PreTrainedModel, set_seed
from transformers.utils import logging as transformers_logging

from contract.locations import absolute
from contract.model_config import ModelConfig
from contract.precision import file_sha256
from trainer.checkpoints import (
    WEIGHTS,
    Checkpoint,
    Origin,
    chosen_of,
    newest_whole,
    open_checkpoint,
    remove_incomplete,
)
from trainer.datasets.dataset import TRAIN, VALIDATION, Dataset
from trainer.early_stopping import is_over
from trainer.errors import CheckpointError
from trainer.export import Export, describe_model, export_and_publish
from trainer.final_metrics import final_metrics
from trainer.former_run import starting_weights, take_over
from trainer.freezing import freeze_below
from trainer.hardware import choose_hardware, make_deterministic
from trainer.hyperparameters import Hyperparameters
from trainer.job import Hooks, Job
from trainer.local_data import local_data
from trainer.precisions import Validation, measure, recall, remember
from trainer.processes import Processes, leave_processes, start_processes, wait_for_all
from trainer.publishing import PublishedVersion, check_publishable, check_writable
from trainer.report import (
    FinalMetrics,
    epoch_metrics,
    read_metrics,
)
from trainer.run_record import (
    STARTED_FROM,
    RunRecord,
    clear_run,
    continue_record,
    locked,
    new_record,
    read_record,
    refuse_foreign,
    started_from,
    write_record,
)
from trainer.screening import screen
from trainer.settings import FitSettings
from trainer.tasks import load_task
from trainer.tasks.task import Task
from trainer.training import train

Read: TypeAlias = Callable[[Task, Path], Dataset]
"""How a dataset is read from its folder; the task's own way where none is given."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a fit ended with.

    Attributes:
        published: Where the model is.
        metrics: Its metrics, or None where the run had been published before.
        was_published: Whether a former run of the same command had published it already.
    """

    published: PublishedVersion
    metrics: FinalMetrics | None
    was_published: bool


def fit(
    settings: FitSettings,
    wanted: Hyperparameters,
    read: Read | None = None,
    hooks: Hooks | None = None,
) -> FitResult | None:
    """Train and publish, or go on where a former run of the same command ended.

    Args:
        settings: What `fit` is told besides hyperparameters.
        wanted: The hyperparameters.
        read: How the dataset is read from its folder, where not as the task does.
        hooks: What the caller has a part in while it trains.

    Returns:
        The result in the main process, None in every other.

    Raises:
        TrainerError: The dataset, the run's folder or the machine does not fit what is wanted.
        ContractError: The dataset cannot be had, or the model not be published under this name.
        Stopped: The caller asked for it; the same command goes on.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    processes = start_processes()
    with (
        locked(settings.run_dir) if processes.is_main else nullcontext(),
        local_data(settings.data, settings.data_cache_dir, processes) as data,
    ):
        task = load_task(settings.task).of(wanted)
        dataset = task.read(data) if read is None else read(task, data)
        job = Job(
            task=task,
            dataset=dataset,
            hardware=choose_hardware(wanted),
            processes=processes,
            run_dir=settings.run_dir,
            event_dir=settings.event_dir,
            hooks=hooks or Hooks(),
        )
        return _fit(settings, job)


def _fit(settings: FitSettings, asked: Job) -> FitResult | None:
    """`fit` on a local dataset, in a run's folder that is this run's alone."""
    job = _settled(asked, settings)
    weights = job.hooks.weights
    if weights is not None:
        job = _starting_with(weights, job)
    # Whatever can be wrong is found before the long scan, and before a former run is touched.
    make_deterministic()
    set_seed(job.wanted.seed)
    model = job.task.build_model(job.dataset.labels)
    check_writable(settings.model_repository, settings.name)
    if settings.checkpoint_input is None:
        _check_publishable(settings, job, model)
    scan = screen(job.task, job.dataset, settings, job.processes)
    record = new_record(settings, asked.wanted, job.wanted, scan.sha256, job.processes.count)
    if weights is not None:  # by content: they lie elsewhere when the job is started again
        record = started_from(record, file_sha256(weights / WEIGHTS))
    if (start := starting_weights(settings.checkpoint_input, record)) is not None:
        job = _starting_with(start, job)
        model = job.task.build_model(job.dataset.labels)
        record = started_from(record, str(start.resolve()))
    if settings.checkpoint_input is not None:  # the scan alone tells whose weights they are
        _check_publishable(settings, job, model)
    return _run(settings, model, record, replace(job, dataset=scan.dataset))


def _with(job: Job, **values: object) -> Job:
    """The job with other values of hyperparameters."""
    return replace(job, task=job.task.of(job.wanted.model_copy(update=values)))


def _starting_with(weights: Path, job: Job) -> Job:
    return _with(job, model=str(weights), pretrained=False)


def _settled(job: Job, settings: FitSettings) -> Job:
    """A batch size that is left open: the one that the run has already, else what fits each GPU."""
    if job.wanted.per_device_train_batch_size != 0:
        return job
    present = None if settings.restart else read_record(settings.run_dir)
    if present is not None and present.batch_size:
        size = present.batch_size
    else:
        size = min(job.processes.gather([job.task.batch_size(job.hardware)]))
    return _with(job, per_device_train_batch_size=size)


def _run(
    settings: FitSettings, model: PreTrainedModel, new: RunRecord, job: Job
) -> FitResult | None:
    task, wanted, processes = job.task, job.wanted, job.processes
    record = _open_run(settings, new, processes)
    if record.published is not None:
        return FitResult(record.published, None, was_published=True)
    origin = Origin(
        task=task.name,
        base_model=wanted.model if job.hooks.weights is None else new.identity["model"],
        dataset_sha256=new.identity["dataset_sha256"],
        parameters=dict(task.parameters()),
    )
    task.begin(model, job.dataset)
    if wanted.train_only_top_layer:
        freeze_below(model, task.head)
    _train(job, _stamped(model, job, origin), record)
    leave_processes()
    return _finish(job, settings, record) if processes.is_main else None


def _check_publishable(settings: FitSettings, job: Job, model: PreTrainedModel) -> None:
    """Find out before the training, not after it, that the model could not be published."""
    labels = job.dataset.labels
    config = describe_model(job.task, model, settings.name, labels, job.wanted.size)
    check_publishable(settings.model_repository, config, labels)


def _open_run(settings: FitSettings, new: RunRecord, processes: Processes) -> RunRecord:
    """Find the run that its folder holds, or a new one, the same in every process."""
    run_dir, former = settings.run_dir, settings.checkpoint_input
    if not settings.restart:
        _check_same_everywhere(run_dir, processes)
    refuse_foreign(run_dir)
    wait_for_all()
    if processes.is_main:
        if settings.restart:
            clear_run(run_dir, settings.event_dir)
        if former is not None and STARTED_FROM not in new.identity:
            take_over(former, run_dir)
    wait_for_all()
    record = continue_record(run_dir, new)
    model_dir = absolute(settings.model_repository / settings.name)
    record = record.model_copy(update={"published": record.published_in(model_dir)})
    wait_for_all()
    if processes.is_main:
        for folder in remove_incomplete(run_dir):
            logger.warning("event=removed_incomplete_checkpoint path=%s", folder)
    wait_for_all()
    return record


def _train(job: Job, model: PreTrainedModel, record: RunRecord) -> None:
    """Train to the last epoch, from the last whole checkpoint if there is one."""
    resume_from = newest_whole(job.run_dir)
    if resume_from is not None:
        if is_over(epoch_metrics(resume_from), job.wanted, job.task.main_metric):
            return
        logger.info("event=resume checkpoint=%s", resume_from)
    if job.processes.is_main:
        write_record(job.run_dir, record)
    logger.info(
        "event=train model=%s pictures=%d labels=%d device=%s precision=%s channels_last=%s",
        job.wanted.model,
        len(job.dataset.splits[TRAIN]),
        len(job.dataset.labels),
        job.hardware.device,
        job.hardware.precision,
        job.hardware.channels_last,
    )
    if job.wanted.num_train_epochs == 0:
        logger.warning("event=untrained reason=num_train_epochs_0 model=%s", job.wanted.model)
    train(job, model, resume_from)


def _check_same_everywhere(run_dir: Path, processes: Processes) -> None:
    """Refuse to go on from different checkpoints on hosts that do not share the run's folder."""
    newest = newest_whole(run_dir)
    names = sorted(set(processes.gather(["none" if newest is None else newest.name])))
    if len(names) > 1:
        raise CheckpointError(
            run_dir,
            f"the hosts would go on from different checkpoints, {' and '.join(names)}; give each "
            "the same folder, or a copy of the first one's",
        )


def _stamped(model: PreTrainedModel, job: Job, origin: Origin) -> PreTrainedModel:
    """The model with a config that says all that export and evaluation need."""
    model.config.image_size = job.wanted.size
    model.config.aperture = origin.model_dump()
    return model


def _finish(job: Job, settings: FitSettings, record: RunRecord) -> FitResult:
    """Evaluate the last or best checkpoint in fp32, publish it, and say so in the run's folder."""
    chosen = chosen_of(job.run_dir)
    if chosen is None:
        raise CheckpointError(job.run_dir, "the training left no whole checkpoint")
    checkpoint = open_checkpoint(chosen)
    metrics = read_metrics(chosen) or final_metrics(job, chosen)
    published = export_and_publish(
        checkpoint,
        settings.model_repository,
        settings.name,
        metrics.by_name,
        partial(_completed, job, checkpoint, settings.max_precision_loss),
    )
    done = PublishedVersion(absolute(published.model_dir), published.version)
    write_record(job.run_dir, record.model_copy(update={"published": done}))
    return FitResult(published, metrics, was_published=False)


def _completed(
    job: Job, checkpoint: Checkpoint, max_loss: float, export: Export, path: Path
) -> ModelConfig:
    """The configuration of a version, in whose folder lies all that accompanies it."""
    if job.hooks.accompany is not None:
        job.hooks.accompany(checkpoint, path.parent)
    return _measured(job, max_loss, export, path)


def _measured(job: Job, max_loss: float, export: Export, path: Path) -> ModelConfig:
    """The configuration with what lower precisions cost, measured once in the run."""
    measured = recall(job.run_dir, path)
    if measured is None or measured.max_loss != max_loss:
        batch_size = job.wanted.per_device_eval_batch_size
        validation = Validation(job.dataset.splits[VALIDATION], batch_size, max_loss)
        measured = measure(export, path, validation)
    if measured is None:
        return export.config
    remember(job.run_dir, measured)
    return export.config.with_parameters(measured.parameters())
