"""A predictor and samples -> the task's metrics. The one path for all three kinds of predictor."""

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from trainer.datasets.dataset import Sample
from trainer.predictors import Predictor
from trainer.tasks.task import Metrics, Outputs, Task


def evaluate(
    task: Task, predictor: Predictor, samples: Sequence[Sample], batch_size: int
) -> Metrics:
    """The metrics of `predictor` on `samples`, asked for `batch_size` pictures at a time."""
    parts: list[Outputs] = []
    with tqdm(total=len(samples), desc="evaluating") as bar:
        for start in range(0, len(samples), batch_size):
            batch = samples[start : start + batch_size]
            parts.append(predictor.predict([sample.path.read_bytes() for sample in batch]))
            bar.update(len(batch))
    outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return task.metrics(outputs, [sample.target for sample in samples])
