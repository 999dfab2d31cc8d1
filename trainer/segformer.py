"""SegFormer of transformers, by size name, from a checkpoint folder or from the hub."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate
from transformers import PreTrainedModel, SegformerConfig, SegformerForSemanticSegmentation
from transformers.modeling_outputs import SemanticSegmenterOutput

from contract.errors import OptionsError
from trainer.errors import CheckpointError, WeightsUnavailable
from trainer.masks import ignored_id
from trainer.segmentation_hyperparameters import SegmentationHyperparameters

NO_ID: Final = -100
"""What an ignored pixel is in a training batch."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Size:
    """The shape of a SegFormer; `hub_id` names a pretrained encoder, if there is one."""

    depths: tuple[int, ...]
    hidden_sizes: tuple[int, ...]
    decoder_hidden_size: int
    heads: tuple[int, ...] = (1, 2, 5, 8)
    hub_id: str = ""


_WIDE = (64, 128, 320, 512)

# The paper's table 6; hub: encoders trained on ImageNet.
SIZES: Final = {
    # ours, a twentieth of B0, for tests and demonstrations on two cores
    "segformer-tiny": Size((1, 1, 1, 1), (16, 32, 64, 96), 64, (1, 2, 4, 6)),
    "segformer-b0": Size((2, 2, 2, 2), (32, 64, 160, 256), 256, hub_id="nvidia/mit-b0"),
    "segformer-b1": Size((2, 2, 2, 2), _WIDE, 256, hub_id="nvidia/mit-b1"),
    "segformer-b2": Size((3, 4, 6, 3), _WIDE, 768, hub_id="nvidia/mit-b2"),
    "segformer-b3": Size((3, 4, 18, 3), _WIDE, 768, hub_id="nvidia/mit-b3"),
    "segformer-b4": Size((3, 8, 27, 3), _WIDE, 768, hub_id="nvidia/mit-b4"),
    "segformer-b5": Size((3, 6, 40, 3), _WIDE, 768, hub_id="nvidia/mit-b5"),
}


class Segmenter(SegformerForSemanticSegmentation):
    """SegFormer whose loss is 0, and not 0 / 0, where a batch has no pixel to learn from."""

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None
    ) -> SemanticSegmenterOutput:
        """pixel_values[B, 3, S, S] -> logits[B, K, S/4, S/4], and the loss for labels[B, S, S]."""
        output: SemanticSegmenterOutput = super().forward(pixel_values=pixel_values)
        if labels is not None and output.logits is not None:
            output.loss = pixel_loss(output.logits, labels)
        return output


def pixel_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of logits[B, K, h, w], enlarged, over the labels[B, H, W] that count."""
    enlarged = enlarge(logits, labels.shape[-1]).float()
    total = cross_entropy(enlarged, labels, ignore_index=NO_ID, reduction="sum")
    return total / (labels != NO_ID).sum().clamp(min=1)


def enlarge(logits: Tensor, size: int) -> Tensor:
    """logits[B, K, h, w] -> [B, K, size, size], bilinear between the pixels' centres."""
    return interpolate(logits, size=(size, size), mode="bilinear", align_corners=False)


def build_segformer(wanted: SegmentationHyperparameters, labels: Sequence[str]) -> PreTrainedModel:
    """A SegFormer with one output for each of `labels`.

    Raises:
        OptionsError: `model` is no size, no checkpoint folder, and not asked for from the hub.
        WeightsUnavailable: The weights cannot be read or fetched.
    """
    source = _source_of(wanted)
    if source:
        return _pretrained(source, labels)
    logger.info("event=random_weights model=%s reason=no_pretrained_weights_asked", wanted.model)
    size = _size_named(wanted.model)
    assert size is not None  # noqa: S101 - _source_of would have said so
    return Segmenter(_labelled(config_of(size), labels))


def config_of(size: Size) -> SegformerConfig:
    """Transformers' configuration of a size."""
    return SegformerConfig(
        depths=list(size.depths),
        hidden_sizes=list(size.hidden_sizes),
        num_attention_heads=list(size.heads),
        decoder_hidden_size=size.decoder_hidden_size,
        # Dropping paths is for the deep ones; four blocks have none to spare.
        drop_path_rate=0.1 if sum(size.depths) > 4 else 0.0,
    )


def load_segformer(folder: Path) -> PreTrainedModel:
    """The fp32 SegFormer of a checkpoint folder, in evaluation mode.

    Raises:
        CheckpointError: The folder's files are not those of a SegFormer.
    """
    try:
        model: PreTrainedModel = Segmenter.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError, SafetensorError) as err:
        raise CheckpointError(folder, f"cannot be loaded: {err}") from err
    model.eval()
    return model


def _size_named(name: str) -> Size | None:
    """A size by its name, with or without `segformer-`."""
    return SIZES.get(name) or SIZES.get(f"segformer-{name}")


def _source_of(wanted: SegmentationHyperparameters) -> str:
    """The folder or hub id that weights come from, or nothing for random ones."""
    if (size := _size_named(wanted.model)) is not None:
        if wanted.pretrained and not size.hub_id:
            raise OptionsError([f"pretrained: the hub has no weights of {wanted.model}"])
        return size.hub_id if wanted.pretrained else ""
    if (Path(wanted.model) / "config.json").is_file() or wanted.pretrained:
        return wanted.model
    raise OptionsError(
        [
            f"model: got {wanted.model!r}, expected one of {', '.join(SIZES)}, the folder of a "
            "local checkpoint, or a hub id with --pretrained"
        ]
    )


def _pretrained(source: str, labels: Sequence[str]) -> PreTrainedModel:
    try:
        config = _labelled(SegformerConfig.from_pretrained(source), labels)
        model: PreTrainedModel = Segmenter.from_pretrained(
            source,
            config=config,
            ignore_mismatched_sizes=True,  # the head of another label set starts anew
        )
    except (OSError, ValueError) as err:
        raise WeightsUnavailable(source, str(err)) from err
    return model


def _labelled(config: SegformerConfig, labels: Sequence[str]) -> SegformerConfig:
    """The configuration with one output for each of `labels`."""
    config.id2label = dict(enumerate(labels))  # the number of outputs follows from it
    config.label2id = {label: index for index, label in enumerate(labels)}
    config.semantic_loss_ignore_index = NO_ID if ignored_id(labels) is None else 255
    return config
