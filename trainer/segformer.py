"""SegFormer of transformers, by size name, from a checkpoint folder or from the hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate
from transformers import PreTrainedModel, SegformerConfig, SegformerForSemanticSegmentation
from transformers.modeling_outputs import SemanticSegmenterOutput

from trainer.masks import IGNORED_ID, ignored_id
from trainer.segmentation_hyperparameters import SegmentationHyperparameters
from trainer.weights import Family, labelled, load_pretrained, source_of

NO_ID: Final = -100
"""What an ignored pixel is in a training batch."""


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
    """SegFormer whose loss is 0, and not 0 / 0, where a batch has no pixel to learn from.

    transformers 5.23 takes the mean over no pixel, which is no number, and weights that are none
    after the step (models/segformer/modeling_segformer.py, SegformerForSemanticSegmentation).
    """

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


FAMILY: Final = Family(
    hub_ids={name: size.hub_id for name, size in SIZES.items()},
    classes={SegformerConfig.model_type: Segmenter},
    head=("decode_head.",),  # all of it: the hub's weights of the sizes are encoders alone
)


def build_segformer(wanted: SegmentationHyperparameters, labels: Sequence[str]) -> PreTrainedModel:
    """A SegFormer with one output for each of `labels`; a size may lack `segformer-`.

    Raises:
        OptionsError: `model` is no size, no checkpoint folder, and not asked for from the hub.
        WeightsUnavailable: The weights cannot be read or fetched.
    """
    if (name := f"segformer-{wanted.model}") in SIZES:
        wanted = wanted.model_copy(update={"model": name})
    ignored = NO_ID if ignored_id(labels) is None else IGNORED_ID
    if source := source_of(FAMILY, wanted):
        anew = wanted.reinitialize_top_layer
        return load_pretrained(FAMILY, source, labels, anew, semantic_loss_ignore_index=ignored)
    config = config_of(SIZES[wanted.model])
    return Segmenter(labelled(config, labels, semantic_loss_ignore_index=ignored))


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
