"""transformers' detectors, taught about the padding of a square picture.

Legend: B pictures of a batch, S side of the square, A anchors of all levels, K labels.

Each class only surrounds the forward of transformers' own; weights and configurations are
the same. transformers finds a model's loss by the end of its class's name.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import (
    DetrForObjectDetection,
    DFineForObjectDetection,
    PreTrainedModel,
    RTDetrForObjectDetection,
    RTDetrV2ForObjectDetection,
)

from trainer.object_counts import objects_counted

Labels = list[dict[str, Tensor]] | None

_HIDDEN: Final = -1e4


class PaddedDetrForObjectDetection(DetrForObjectDetection):
    """DETR whose labels' boxes are parts of the padded square, as those of the other detectors.

    Its position embedding counts the picture's own pixels, so what it can learn are parts of the
    picture; that is also what the published weights answer.
    """

    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        labels: Labels = None,
        **kwargs: Any,
    ) -> Any:
        """As DETR's own, but for the frame of the labels' boxes and what its loss is divided by."""
        if labels is not None and pixel_mask is not None:
            content = torch.stack([pixel_mask.any(1).sum(1), pixel_mask.any(2).sum(1)], dim=1)
            scale = pixel_mask.shape[-1] / content.repeat(1, 2).to(pixel_values.dtype)
            labels = [
                {**label, "boxes": label["boxes"] * part}
                for label, part in zip(labels, scale, strict=True)
            ]
        with objects_counted(training=self.training):
            return super().forward(pixel_values, pixel_mask, labels=labels, **kwargs)


class _StartsInside(PreTrainedModel):
    """What RT-DETR, RT-DETRv2 and D-FINE share: queries that start inside the picture."""

    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        labels: Labels = None,
        **kwargs: Any,
    ) -> Any:
        """As the detector's own, with `padding_last`, and without labels `ties_by_index`."""
        with padding_last(self, pixel_mask), ties_by_index(self, labels):
            return super().forward(pixel_values, pixel_mask, labels=labels, **kwargs)


class PaddedRTDetrForObjectDetection(_StartsInside, RTDetrForObjectDetection):
    """RT-DETR whose queries start inside the picture."""


class PaddedRTDetrV2ForObjectDetection(_StartsInside, RTDetrV2ForObjectDetection):
    """RT-DETRv2 whose queries start inside the picture."""


class PaddedDFineForObjectDetection(_StartsInside, DFineForObjectDetection):
    """D-FINE whose queries start inside the picture."""


CLASSES: Final[Mapping[str, type[PreTrainedModel]]] = {
    "detr": PaddedDetrForObjectDetection,
    "rt_detr": PaddedRTDetrForObjectDetection,
    "rt_detr_v2": PaddedRTDetrV2ForObjectDetection,
    "d_fine": PaddedDFineForObjectDetection,
}


@contextmanager
def padding_last(model: PreTrainedModel, pixel_mask: Tensor | None) -> Iterator[None]:
    """Evaluated, let the queries start at anchors in the padding only when no other is left.

    The padding is of one colour, so the anchors in it have equal scores to the last bit, and
    which of them were among the best would be left to the runtime. The order of those that are
    left is that of their index, which `ties_by_index` alone would give without labels, but not
    with them. A training sees the anchors as transformers has them.
    """
    if model.training or pixel_mask is None:
        yield
        return
    outside = ~anchors_inside(pixel_mask, model.config.feat_strides)
    first = torch.tensor(_HIDDEN, device=outside.device)
    ranks = first - torch.arange(outside.shape[1], device=outside.device).to(torch.float32)

    def lower(_module: nn.Module, _inputs: object, scores: Tensor) -> Tensor:
        """Scores[B, A, K] with those in the padding below all others; bf16 has too few ranks."""
        return torch.where(outside[..., None], ranks[:, None], scores.to(torch.float32))

    handle = model.model.enc_score_head.register_forward_hook(lower)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def ties_by_index(model: PreTrainedModel, labels: Labels) -> Iterator[None]:
    """Without labels, let of two anchors of equal score the first be the better one.

    A detector that has learnt little scores many anchors alike to the last bit, and which of them
    are among the best would be left to the runtime. ONNX's TopK takes the lower index first, as a
    stable sort does. With labels the scores themselves are part of the loss, and stay.
    """
    if model.training or labels is not None:
        yield
        return

    def rank(_module: nn.Module, _inputs: object, scores: Tensor) -> Tensor:
        """Scores[B, A, K] -> minus the rank of each anchor's best label, for each of its labels."""
        best = scores.max(-1).values
        if torch.compiler.is_exporting():  # the exporter knows TopK alone
            order = best.topk(best.shape[1], dim=1).indices
        else:
            order = best.sort(dim=1, descending=True, stable=True).indices
        places = torch.arange(best.shape[1], device=best.device).expand_as(order)
        ranks = torch.zeros_like(order).scatter(1, order, places)
        return (-ranks).to(torch.float32)[..., None].expand_as(scores)  # bf16 has no 257

    handle = model.model.enc_score_head.register_forward_hook(rank)
    try:
        yield
    finally:
        handle.remove()


def anchors_inside(pixel_mask: Tensor, strides: Sequence[int]) -> Tensor:
    """Mask[B, S, S] of the picture -> whether the centre of each anchor's cell is in it [B, A]."""
    levels = [
        pixel_mask[:, stride // 2 :: stride, stride // 2 :: stride].flatten(1) for stride in strides
    ]
    return torch.cat(levels, dim=1).to(torch.bool)
