"""Detectors of transformers, by size name, from a checkpoint folder or from the hub.

The task knows none of them: what it needs is that a model takes pixel_values, pixel_mask and
labels and returns a loss, logits[B, Q, K] and pred_boxes[B, Q, 4], centre, width and height.
"""

from collections.abc import Sequence
from typing import Final

from torch import nn
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.models.detr.modeling_detr import DetrFrozenBatchNorm2d

from trainer.detection_hyperparameters import DetectionHyperparameters
from trainer.detector_sizes import SIZES
from trainer.padded_detectors import CLASSES, PaddedDetrForObjectDetection
from trainer.weights import Family, labelled, load_pretrained, source_of

FAMILY: Final = Family(
    hub_ids={name: size.hub_id for name, size in SIZES.items()},
    classes=CLASSES,
    head=(
        "class_labels_classifier.",
        "model.decoder.class_embed.",
        "model.denoising_class_embed.",
        "model.enc_score_head.",
    ),
    revisions={"facebook/detr-": "no_timm"},  # their main branch asks for timm
)


def build_detector(wanted: DetectionHyperparameters, labels: Sequence[str]) -> PreTrainedModel:
    """A detector of `labels`.

    Raises:
        OptionsError: `model` is no size, no checkpoint folder, and not asked for from the hub.
        WeightsUnavailable: The weights cannot be read or fetched, or are of no such detector.
    """
    if source := source_of(FAMILY, wanted):
        model = load_pretrained(FAMILY, source, labels, wanted.reinitialize_top_layer)
        _fit_queries(model.config, wanted.input_size)
        _thaw(model)
        return model
    config = labelled(AutoConfig.for_model(**SIZES[wanted.model].config), labels)
    _fit_queries(config, wanted.input_size)
    model = CLASSES[config.model_type](config)
    _thaw(model)
    _train_norms(model)
    _reset_norms(model)
    _start_at_anchors(model)
    return model


def _fit_queries(config: PreTrainedConfig, input_size: int) -> None:
    """Ask for no more objects than a picture has anchors.

    RT-DETRv2 and D-FINE take the best `num_queries` anchors, and a small input has fewer than the
    300 of the published configurations.
    """
    strides = getattr(config, "feat_strides", ())
    if strides:
        anchors = sum((input_size // stride) ** 2 for stride in strides)
        config.num_queries = min(config.num_queries, anchors)


def _thaw(model: PreTrainedModel) -> None:
    """Let DETR's backbone learn.

    transformers 5.23 means to freeze its stem and first stage, as DETR's authors do for weights
    of ImageNet, but looks for "stage.1" where the parameters are named "stages.1", and so freezes
    the backbone whole (models/detr/modeling_detr.py, DetrConvEncoder).
    """
    if isinstance(model, PaddedDetrForObjectDetection):
        model.model.backbone.requires_grad_(requires_grad=True)


def _train_norms(model: nn.Module) -> None:
    """Give DETR's backbone batch norms that learn: frozen ones of random weights only pass on.

    Their state has the same names, so a checkpoint loads into DETR's own, which are frozen, and
    back but for the counts of batches, on which nothing depends.
    """
    for name, child in model.named_children():
        if isinstance(child, DetrFrozenBatchNorm2d):
            setattr(model, name, nn.BatchNorm2d(child.weight.numel()))
        else:
            _train_norms(child)


def _reset_norms(model: nn.Module) -> None:
    """Let batch norms start as identities, as torch has them.

    transformers 5.23 draws the scales of RT-DETR's from N(0, initializer_range), with which next
    to nothing of a picture reaches the decoder (models/rt_detr_v2/modeling_rt_detr_v2.py,
    RTDetrV2PreTrainedModel._init_weights).
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()


def _start_at_anchors(model: PreTrainedModel) -> None:
    """Let the first boxes be the anchors, as the originals of RT-DETR and D-FINE do.

    transformers 5.23 zeroes the decoder's last layers, but not those of `enc_bbox_head` and
    `pre_bbox_head` (`_init_weights` of the modules of either).
    """
    for name, module in model.named_modules():
        if name.endswith(("enc_bbox_head", "pre_bbox_head")):
            nn.init.zeros_(module.layers[-1].weight)
            nn.init.zeros_(module.layers[-1].bias)
