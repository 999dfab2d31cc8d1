"""Models of random weights that answer something, exported and published as trained ones are.

A model is exported once in a session, whoever asks for it and under what name.
"""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from contract.labels import read_labels
from contract.model_config import MODEL_FILE, read_model_config
from tests.trainer.segmentation_folders import LABELS
from trainer.checkpoints import Checkpoint, Origin, open_checkpoint
from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.detection_hyperparameters import DetectionHyperparameters
from trainer.detectors import build_detector
from trainer.dilated_segmenters import DilatedSegmenter
from trainer.export import export_and_publish
from trainer.publishing import publish
from trainer.resnet import build_resnet
from trainer.segmentation_hyperparameters import SegmentationHyperparameters
from trainer.segmenters import build_segmenter


def publish_classifier(repository: Path, name: str, model: str, size: int) -> Checkpoint:
    """A ResNet of random weights."""
    return _publish(repository, name, _exported_classifier(model, size))


def publish_segmenter(repository: Path, name: str, model: str, size: int) -> Checkpoint:
    """A segmenter whose head is random enough to answer every label."""
    return _publish(repository, name, _exported_segmenter(model, size))


def publish_detector(repository: Path, name: str, model: str, size: int) -> Checkpoint:
    """A detector that answers some of its queries: its threshold is that of a guess."""
    return _publish(repository, name, _exported_detector(model, size))


@cache
def _exported_classifier(model: str, size: int) -> Path:
    torch.manual_seed(3)
    wanted = ClassificationHyperparameters(model=model, input_size=size)
    origin = Origin(task="image-classification", base_model=model, dataset_sha256="0")
    return _export(build_resnet(wanted, LABELS), origin, size)


@cache
def _exported_segmenter(model: str, size: int) -> Path:
    torch.manual_seed(3)
    wanted = SegmentationHyperparameters(model=model, input_size=size)
    segmenter = build_segmenter(wanted, LABELS)
    for weight in segmenter.get_submodule("decode_head").parameters():
        if len(weight) == len(LABELS) and weight.ndim > 1:
            nn.init.normal_(weight)
            if isinstance(segmenter, DilatedSegmenter):
                # Their features are positive: with a mean, one label would be the largest anywhere.
                weight.data -= weight.data.mean(dim=1, keepdim=True)
    origin = Origin(task="semantic-segmentation", base_model=model, dataset_sha256="0")
    return _export(segmenter, origin, size)


@cache
def _exported_detector(model: str, size: int) -> Path:
    torch.manual_seed(3)
    detector = build_detector(DetectionHyperparameters(model=model, input_size=size), LABELS)
    guess = {"threshold": repr(1 / (len(LABELS) + 1))}
    origin = Origin(task="object-detection", base_model=model, dataset_sha256="0", parameters=guess)
    return _export(detector, origin, size)


def _export(model: PreTrainedModel, origin: Origin, size: int) -> Path:
    """A folder of the process with `checkpoint` and a repository of its version of `model`."""
    model.config.image_size = size
    model.config.aperture = origin.model_dump()
    folder = Path(tempfile.mkdtemp(prefix="random-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    model.save_pretrained(folder / "checkpoint")
    export_and_publish(open_checkpoint(folder / "checkpoint"), folder / "repository", "model", {})
    return folder


def _publish(repository: Path, name: str, exported: Path) -> Checkpoint:
    source = exported / "repository" / "model"
    config = read_model_config(source).renamed(name)

    def copy(path: Path) -> None:
        shutil.copyfile(source / "1" / MODEL_FILE, path)

    publish(repository, config, read_labels(source / "labels.txt"), copy)
    return open_checkpoint(exported / "checkpoint")
