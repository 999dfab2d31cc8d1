"""What a finished job leaves: the files that SageMaker's users look for beside the model.

    model/NAME/config.pbtxt, labels.txt, 1/model.onnx       the model repository: Triton's layout
    model/NAME/1/checkpoint/                                for training it further; Triton's own
                                                            servers read no folder there
    model/labels_info.json                                  {"labels": ["cat", ...]}
    model/class_label_to_prediction_index.json              {"cat": 0, ...}
    output/data/metrics.json                                the metrics of each epoch and split

The checkpoint is in the version's folder before that is renamed into place, so that a version is
whole with it.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from trainer.checkpoints import WEIGHTS, Checkpoint
from trainer.files import replace_text
from trainer.report import METRICS_FILE
from trainer.sagemaker.folders import Folders
from trainer.sagemaker.incremental import CHECKPOINT_FOLDER, Architecture, write_architecture

LABELS_INFO: Final = "labels_info.json"
LABEL_INDEX: Final = "class_label_to_prediction_index.json"


def copy_checkpoint(checkpoint: Checkpoint, version_dir: Path, architecture: Architecture) -> None:
    """Copy what a training can start with into a version's folder."""
    folder = version_dir / CHECKPOINT_FOLDER
    folder.mkdir(mode=0o755)
    for name in ("config.json", WEIGHTS):
        shutil.copyfile(checkpoint.folder / name, folder / name)
    write_architecture(folder, architecture)


def write_labels(model: Path, labels: Sequence[str]) -> None:
    """Write both files of classes into the model folder.

    Sources: labels_info.json is in the archives of AWS's tensorflow-od1 models,
    class_label_to_prediction_index.json in those of JumpStart's other vision algorithms.
    """
    index = {label: number for number, label in enumerate(labels)}
    for name, content in {LABELS_INFO: {"labels": [*labels]}, LABEL_INDEX: index}.items():
        replace_text(model / name, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def copy_metrics(run_dir: Path, folders: Folders) -> None:
    """Copy the run's metrics to where SageMaker makes output.tar.gz of."""
    folders.output_data.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run_dir / METRICS_FILE, folders.output_data / METRICS_FILE)
