"""A run's last or best checkpoint -> its metrics on validation and test, in the run's folder.

The price is one pass over both splits, and pictures of the first predictions for TensorBoard.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.checkpoints import newest_whole, open_checkpoint
from trainer.datasets.dataset import TEST, VALIDATION
from trainer.evaluate import evaluate
from trainer.job import Job
from trainer.predictors import CheckpointPredictor
from trainer.report import (
    FinalMetrics,
    epoch_metrics,
    write_metrics,
    write_pictures,
    write_scalars,
)

ILLUSTRATIONS: Final = 4


def final_metrics(job: Job, checkpoint: Path) -> FinalMetrics:
    """Evaluate a checkpoint in fp32, and leave its metrics in metrics.json and TensorBoard."""
    predictor = CheckpointPredictor(open_checkpoint(checkpoint))
    batch_size = job.wanted.per_device_eval_batch_size
    splits = {
        split: evaluate(job.task, predictor, samples, batch_size)
        for split in (VALIDATION, TEST)
        if (samples := job.dataset.splits.get(split))
    }
    newest = newest_whole(job.run_dir) or checkpoint  # it alone knows of every epoch
    metrics = FinalMetrics(checkpoint=checkpoint.name, epochs=epoch_metrics(newest), splits=splits)
    step = len(metrics.epochs)
    write_scalars(job.event_dir, splits, step)
    write_pictures(job.event_dir, _illustrations(job, predictor), step)
    write_metrics(job.run_dir, metrics)
    return metrics


def _illustrations(job: Job, predictor: CheckpointPredictor) -> list[NDArray[np.uint8]]:
    """The task's pictures of the first validation samples, if it has any."""
    samples = job.dataset.splits[VALIDATION][:ILLUSTRATIONS]
    drawn = (
        job.task.illustrate(
            predictor.predict([sample.path.read_bytes()]), sample, job.dataset.labels
        )
        for sample in samples
    )
    return [picture for picture in drawn if picture is not None]
