"""A predictor and samples -> the task's metrics. The one path for all three kinds of predictor.

Batch by batch: what is kept grows with what the metric keeps of a picture, not with the pictures.
"""

from collections.abc import Sequence

from tqdm import tqdm

from trainer.datasets.dataset import Sample
from trainer.predictors import Predictor
from trainer.tasks.task import Metrics, Task


def evaluate(
    task: Task, predictor: Predictor, samples: Sequence[Sample], batch_size: int
) -> Metrics:
    """The metrics of `predictor` on `samples`, asked for `batch_size` pictures at a time."""
    metric = task.metric(predictor.labels)
    with tqdm(total=len(samples), desc="evaluating") as bar:
        for start in range(0, len(samples), batch_size):
            batch = samples[start : start + batch_size]
            metric.update(predictor.predict([sample.path.read_bytes() for sample in batch]), batch)
            bar.update(len(batch))
    return metric.compute()
