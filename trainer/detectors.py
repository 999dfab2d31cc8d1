"""Detectors of transformers, by size name, from a checkpoint folder or from the hub.

The task knows none of them: what it needs is that a model takes pixel_values, pixel_mask and
labels and returns a loss, logits[B, Q, K] and pred_boxes[B, Q, 4], centre, width and height.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.models.detr.modeling_detr import DetrFrozenBatchNorm2d

from contract.errors import OptionsError
from trainer.detection_hyperparameters import DetectionHyperparameters
from trainer.detector_sizes import SIZES
from trainer.errors import CheckpointError, WeightsUnavailable
from trainer.padded_detectors import CLASSES, PaddedDetrForObjectDetection

logger = logging.getLogger(__name__)


def build_detector(wanted: DetectionHyperparameters, labels: Sequence[str]) -> PreTrainedModel:
    """A detector of `labels`.

    Raises:
        OptionsError: `model` is no size, no checkpoint folder, and not asked for from the hub.
        WeightsUnavailable: The weights cannot be read or fetched, or are of no such detector.
    """
    source, revision = _source_of(wanted)
    if source:
        return _pretrained(source, revision, labels)
    logger.info("event=random_weights model=%s reason=no_pretrained_weights_asked", wanted.model)
    config = _labelled(AutoConfig.for_model(**SIZES[wanted.model].config), labels)
    model = CLASSES[config.model_type](config)
    _thaw(model)
    _train_norms(model)
    _reset_norms(model)
    _start_at_anchors(model)
    return model


def load_detector(folder: Path) -> PreTrainedModel:
    """The fp32 detector of a checkpoint folder, in evaluation mode.

    Raises:
        CheckpointError: The folder's files are not those of a detector.
    """
    try:
        model = _class_of(folder).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError, SafetensorError) as err:
        raise CheckpointError(folder, f"cannot be loaded: {err}") from err
    model.eval()
    return model


def _class_of(source: str | Path, **more: str) -> type[PreTrainedModel]:
    """The class of the weights; ValueError where it is none of these detectors."""
    kind = AutoConfig.from_pretrained(source, **more).model_type
    if kind not in CLASSES:
        raise ValueError(f"is a model of the kind {kind!r}; expected one of {', '.join(CLASSES)}")
    return CLASSES[kind]


def _source_of(wanted: DetectionHyperparameters) -> tuple[str, str]:
    """The folder or hub id that weights come from and its revision, or nothing for random ones."""
    if (size := SIZES.get(wanted.model)) is not None:
        if wanted.pretrained and not size.hub_id:
            raise OptionsError([f"pretrained: the hub has no weights of {wanted.model}"])
        return (size.hub_id, size.revision) if wanted.pretrained else ("", "")
    if (Path(wanted.model) / "config.json").is_file() or wanted.pretrained:
        # The hub's DETR asks for timm on its main branch.
        return wanted.model, "no_timm" if wanted.model.startswith("facebook/detr-") else "main"
    raise OptionsError(
        [
            f"model: got {wanted.model!r}, expected one of {', '.join(SIZES)}, the folder of a "
            "local checkpoint, or a hub id with --pretrained"
        ]
    )


def _pretrained(source: str, revision: str, labels: Sequence[str]) -> PreTrainedModel:
    try:
        kind = _class_of(source, revision=revision)
        config = _labelled(AutoConfig.from_pretrained(source, revision=revision), labels)
        model: PreTrainedModel = kind.from_pretrained(
            source,
            config=config,
            revision=revision,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # the heads of another label set start anew
        )
    except (OSError, ValueError, ImportError, SafetensorError) as err:
        raise WeightsUnavailable(source, str(err)) from err
    _thaw(model)
    return model


def _labelled(config: PreTrainedConfig, labels: Sequence[str]) -> PreTrainedConfig:
    """The configuration with one output for each of `labels`."""
    config.id2label = dict(enumerate(labels))  # the number of outputs follows from it
    config.label2id = {label: index for index, label in enumerate(labels)}
    return config


def _thaw(model: PreTrainedModel) -> None:
    """Let DETR's backbone learn.

    transformers 5.23 means to freeze its stem and first stage, as DETR's authors do for weights
    of ImageNet, but looks for "stage.1" where the parameters are named "stages.1", and so freezes
    the backbone whole.
    """
    if isinstance(model, PaddedDetrForObjectDetection):
        model.model.backbone.requires_grad_(requires_grad=True)


def _train_norms(model: nn.Module) -> None:
    """Give DETR's backbone batch norms that learn: frozen ones of random weights only pass on.

    Their state has the same names, so a checkpoint loads into DETR's own, which are frozen.
    """
    for name, child in model.named_children():
        if isinstance(child, DetrFrozenBatchNorm2d):
            setattr(model, name, nn.BatchNorm2d(child.weight.numel()))
        else:
            _train_norms(child)


def _reset_norms(model: nn.Module) -> None:
    """Let batch norms start as identities, as torch has them.

    transformers 5.23 draws the scales of RT-DETR's from N(0, 0.01), with which next to nothing of
    a picture reaches the decoder.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()


def _start_at_anchors(model: PreTrainedModel) -> None:
    """Let the first boxes be the anchors, as the originals of RT-DETR and D-FINE do."""
    for name, module in model.named_modules():
        if name.endswith(("enc_bbox_head", "pre_bbox_head")):
            nn.init.zeros_(module.layers[-1].weight)
            nn.init.zeros_(module.layers[-1].bias)
