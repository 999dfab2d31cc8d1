"""Models of random weights that answer something, exported and published as trained ones are."""

from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from tests.trainer.segmentation_folders import LABELS
from trainer.checkpoints import Checkpoint, Origin, open_checkpoint
from trainer.detection_hyperparameters import DetectionHyperparameters
from trainer.detectors import build_detector
from trainer.export import export_and_publish
from trainer.hyperparameters import ClassificationHyperparameters
from trainer.resnet import build_resnet
from trainer.segformer import build_segformer
from trainer.segmentation_hyperparameters import SegmentationHyperparameters


def publish_classifier(repository: Path, name: str, model: str, size: int) -> Checkpoint:
    """A ResNet of random weights."""
    torch.manual_seed(3)
    wanted = ClassificationHyperparameters(model=model, input_size=size)
    origin = Origin(task="image-classification", base_model=model, dataset_sha256="0")
    return _publish(repository, name, build_resnet(wanted, LABELS), origin, size)


def publish_segmenter(repository: Path, name: str, model: str, size: int) -> Checkpoint:
    """A SegFormer whose head is random enough to answer every label."""
    torch.manual_seed(3)
    wanted = SegmentationHyperparameters(model=model, input_size=size)
    segformer = build_segformer(wanted, LABELS)
    nn.init.normal_(segformer.get_parameter("decode_head.classifier.weight"))
    origin = Origin(task="semantic-segmentation", base_model=model, dataset_sha256="0")
    return _publish(repository, name, segformer, origin, size)


def publish_detector(repository: Path, name: str, model: str, size: int) -> Checkpoint:
    """A detector that answers some of its queries: its threshold is that of a guess."""
    torch.manual_seed(3)
    detector = build_detector(DetectionHyperparameters(model=model, input_size=size), LABELS)
    guess = {"threshold": repr(1 / (len(LABELS) + 1))}
    origin = Origin(task="object-detection", base_model=model, dataset_sha256="0", parameters=guess)
    return _publish(repository, name, detector, origin, size)


def _publish(
    repository: Path, name: str, model: PreTrainedModel, origin: Origin, size: int
) -> Checkpoint:
    model.config.image_size = size
    model.config.aperture = origin.model_dump()
    folder = repository.parent / f"{name}-checkpoint"
    model.save_pretrained(folder)
    checkpoint = open_checkpoint(folder)
    export_and_publish(checkpoint, repository, name, {})
    return checkpoint
