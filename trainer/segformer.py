"""SegFormer of transformers: its sizes by name, and its loss."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from torch import Tensor
from transformers import PreTrainedModel, SegformerConfig, SegformerForSemanticSegmentation
from transformers.modeling_outputs import SemanticSegmenterOutput

from trainer.pixel_loss import pixel_loss


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

    output_stride: ClassVar[int] = 4
    input_multiple: ClassVar[int] = 32
    pools_whole_pictures: ClassVar[bool] = False

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None
    ) -> SemanticSegmenterOutput:
        """pixel_values[B, 3, S, S] -> logits[B, K, S/4, S/4], and the loss for labels[B, S, S]."""
        output: SemanticSegmenterOutput = super().forward(pixel_values=pixel_values)
        if labels is not None and output.logits is not None:
            output.loss = pixel_loss(output.logits, labels)
        return output


CLASSES: Final[Mapping[str, type[PreTrainedModel]]] = {SegformerConfig.model_type: Segmenter}

HEAD: Final = ("decode_head.",)  # all of it: the hub's weights of the sizes are encoders alone


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
