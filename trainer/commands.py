"""The commands that need torch: settings in, the text that the command prints out."""

import json
from pathlib import Path

import httpx

from contract.mirror import local_copy
from trainer.checkpoints import open_checkpoint
from trainer.evaluate import evaluate
from trainer.files import replace_text
from trainer.fit import FitResult, fit
from trainer.hyperparameters import Hyperparameters
from trainer.job import Hooks
from trainer.local_data import local_data
from trainer.predictors import (
    CheckpointPredictor,
    EndpointPredictor,
    Predictor,
    PublishedPredictor,
)
from trainer.report import table
from trainer.settings import EvaluateSettings, FitSettings
from trainer.splits import read_samples
from trainer.stopping import stopping_on_sigterm
from trainer.tasks import load_task
from trainer.tasks.task import Task


def fit_command(settings: FitSettings, wanted: Hyperparameters) -> str:
    """Train and publish; the table of metrics and where the model is. SIGTERM ends it in time."""
    with stopping_on_sigterm() as stop:
        result = fit(settings, wanted, hooks=Hooks(stop=stop))
    return "" if result is None else what_was_done(result)


def what_was_done(result: FitResult) -> str:
    """The table of a fit's metrics and where its model is."""
    where = f"{result.published.version_dir}"
    if result.was_published:
        return f"{where} was published by this run before; --restart trains anew"
    lines = [table(result.metrics.splits)] if result.metrics is not None else []
    return "\n".join([*lines, f"published {where}"])


def evaluate_command(settings: EvaluateSettings) -> str:
    """Evaluate a model on a split; the table of metrics."""
    task = load_task(settings.task)
    with (
        httpx.Client() as client,
        local_data(settings.data, settings.data_cache_dir) as data,
    ):
        return _evaluate(task, settings, data, _predictor(task, settings, client))


def _evaluate(task: Task, settings: EvaluateSettings, data: Path, predictor: Predictor) -> str:
    samples = read_samples(
        task,
        data,
        settings.split,
        predictor.labels,
        skip_bad_images=settings.skip_bad_images,
    )
    metrics = evaluate(task, predictor, samples, settings.batch_size)
    if settings.output is not None:
        replace_text(settings.output, json.dumps({settings.split: metrics}, indent=2) + "\n")
    return table({settings.split: metrics})


def _predictor(task: Task, settings: EvaluateSettings, client: httpx.Client) -> Predictor:
    if settings.checkpoint is not None:
        return CheckpointPredictor(open_checkpoint(settings.checkpoint))
    assert settings.name is not None  # noqa: S101 - the settings' own check
    if settings.model_repository is not None:
        with local_copy(settings.model_repository, settings.name, settings.version) as repository:
            return PublishedPredictor(task, repository, settings.name, settings.version)
    assert settings.url is not None  # noqa: S101 - as above
    return EndpointPredictor(client, settings.url, settings.name, task)
