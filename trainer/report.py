"""Metrics -> metrics.json, TensorBoard and the table at the end."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from tabulate import tabulate
from torch.utils.tensorboard import SummaryWriter

from trainer.checkpoints import TRAINER_STATE
from trainer.files import replace_text
from trainer.tasks.task import Metrics

METRICS_FILE: Final = "metrics.json"
PRECISIONS_FILE: Final = "precisions.json"
CLASS_SEPARATOR: Final = "/"  # in the name of a class's own metric, as per_category_iou/road

_TIMINGS: Final = ("runtime", "samples_per_second", "steps_per_second")


class FinalMetrics(BaseModel):
    """metrics.json.

    Attributes:
        checkpoint: The checkpoint folder that `splits` was computed from, by its name.
        epochs: Loss and metrics at the end of each epoch, in the training's arithmetic.
        splits: The metrics of the published model on validation and test, in fp32.
    """

    model_config = ConfigDict(frozen=True)

    checkpoint: str
    epochs: list[dict[str, float]]
    splits: dict[str, Metrics]

    @property
    def by_name(self) -> dict[str, float]:
        """The splits' metrics as `validation_accuracy` and the like, without those of one class."""
        return {
            f"{split}_{name}": value
            for split, metrics in self.splits.items()
            for name, value in metrics.items()
            if CLASS_SEPARATOR not in name
        }


def epoch_metrics(checkpoint: Path) -> list[dict[str, float]]:
    """Loss and metrics of each epoch, from the Trainer's own log in a checkpoint."""
    state = json.loads((checkpoint / TRAINER_STATE).read_text(encoding="utf-8"))
    epochs: dict[float, dict[str, float]] = {}
    for entry in state["log_history"]:
        row = epochs.setdefault(entry["epoch"], {"epoch": entry["epoch"]})
        row |= {
            name.replace("eval_", "validation_"): value
            for name, value in entry.items()
            if name == "loss" or (name.startswith("eval_") and not name.endswith(_TIMINGS))
        }
    return [row for row in epochs.values() if "validation_loss" in row]


def write_metrics(run_dir: Path, metrics: FinalMetrics) -> None:
    """Write metrics.json so that a reader sees the old or the new one."""
    replace_text(run_dir / METRICS_FILE, metrics.model_dump_json(indent=2) + "\n")


def read_metrics(checkpoint: Path) -> FinalMetrics | None:
    """The metrics that a finished run computed of exactly this checkpoint, if it did."""
    try:
        text = (checkpoint.parent / METRICS_FILE).read_text(encoding="utf-8")
        metrics = FinalMetrics.model_validate_json(text)
    except (OSError, ValidationError):
        return None
    return metrics if metrics.checkpoint == checkpoint.name else None


def write_scalars(folder: Path, splits: Mapping[str, Metrics], step: int) -> None:
    """Add the final metrics of each split to the TensorBoard events."""
    with SummaryWriter(str(folder)) as writer:
        for split, metrics in splits.items():
            for name, value in metrics.items():
                writer.add_scalar(f"{split}/{name}", value, step)


def write_pictures(folder: Path, pictures: Sequence[NDArray[np.uint8]], step: int) -> None:
    """Add pictures [H, W, 3] of predictions beside the truth to the TensorBoard events."""
    if not pictures:
        return
    with SummaryWriter(str(folder)) as writer:
        for index, picture in enumerate(pictures):
            writer.add_image(f"validation/{index}", picture, step, dataformats="HWC")


def table(rows: Mapping[str, Metrics]) -> str:
    """A table with one row for each split, to four decimals, without the metrics of one class.

    A split that has no such metric, because no picture of it shows the category, has a dash.
    """
    every = {name: None for metrics in rows.values() for name in metrics}
    names = [name for name in every if CLASS_SEPARATOR not in name]
    cells = [[row, *(metrics.get(name) for name in names)] for row, metrics in rows.items()]
    return tabulate(
        cells, headers=["split", *names], floatfmt=".4f", tablefmt="github", missingval="-"
    )
