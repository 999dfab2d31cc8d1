"""`aperture-train export`: a checkpoint -> a published version, measured, quantised or built.

What each option does to the exported graph before it is published is one function from the graph to
the configuration that is published with it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from contract.errors import ContractError
from contract.model_config import ModelConfig
from contract.precision import Measurement
from trainer.checkpoints import Checkpoint, open_checkpoint
from trainer.datasets.dataset import TRAIN, VALIDATION
from trainer.engines import build_engines, check_tensorrt
from trainer.errors import EnginesMissing
from trainer.export import Export, export_and_publish
from trainer.int8 import quantise_and_measure
from trainer.local_data import local_data
from trainer.precisions import Validation, measure, recall, spread
from trainer.report import read_metrics
from trainer.settings import ExportSettings
from trainer.splits import read_samples
from trainer.tasks import load_task

BATCH_SIZE: Final = 16
"""Measured pictures of one run."""

Finish: TypeAlias = Callable[[Export, Path], ModelConfig]


def export_command(settings: ExportSettings) -> str:
    """Publish a checkpoint; where the model is.

    Raises:
        TrainerError: The checkpoint, the dataset or the machine does not fit what is wanted.
        ContractError: The model cannot be published under this name.
    """
    if settings.tensorrt:
        check_tensorrt()
    checkpoint = open_checkpoint(settings.checkpoint)
    metrics = read_metrics(checkpoint.folder)
    with _local_data(settings) as data:
        published = export_and_publish(
            checkpoint,
            settings.model_repository,
            settings.name,
            metrics.by_name if metrics is not None else {},
            _finish(settings, checkpoint, data),
        )
    version_dir = published.version_dir
    if settings.tensorrt and isinstance(version_dir, Path):
        try:
            build_engines(load_task(checkpoint.origin.task), version_dir)
        except ContractError as err:
            raise EnginesMissing(version_dir, str(err)) from err
    return f"published {version_dir}"


def _local_data(settings: ExportSettings) -> AbstractContextManager[Path | None]:
    if settings.data is None:
        return nullcontext()
    return local_data(settings.data, settings.data_cache_dir)


def _finish(settings: ExportSettings, checkpoint: Checkpoint, data: Path | None) -> Finish:
    """What is done to the graph; the pictures for it are read now, before the export."""
    finish = _measurement(settings, checkpoint, data)
    return partial(_with_tensorrt, finish) if settings.tensorrt else finish


def _measurement(settings: ExportSettings, checkpoint: Checkpoint, data: Path | None) -> Finish:
    if data is None:
        return partial(_recalled, checkpoint.folder.parent)
    read = partial(
        read_samples,
        load_task(checkpoint.origin.task),
        data,
        labels=checkpoint.labels,
        skip_bad_images=settings.skip_bad_images,
    )
    validation = Validation(read(VALIDATION), BATCH_SIZE, settings.max_precision_loss)
    if not settings.int8:
        return partial(_measured, validation)
    calibration = spread(read(TRAIN), settings.calibration_pictures)
    return partial(quantise_and_measure, calibration=calibration, validation=validation)


def _recalled(run_dir: Path, export: Export, path: Path) -> ModelConfig:
    return _with(recall(run_dir, path), export)


def _measured(validation: Validation, export: Export, path: Path) -> ModelConfig:
    return _with(measure(export, path, validation), export)


def _with(measured: Measurement | None, export: Export) -> ModelConfig:
    return export.config.with_parameters({} if measured is None else measured.parameters())


def _with_tensorrt(finish: Finish, export: Export, path: Path) -> ModelConfig:
    return finish(export, path).with_gpu_accelerator("tensorrt")
