"""A detector of transformers -> one module from a padded picture to boxes, scores and labels.

Legend: B pictures of a batch, S side of the padded square, Q queries, K labels.

Two families answer in two frames. DETR masks the padding and measures positions by the picture
alone, so its boxes are parts of the picture. RT-DETR and D-FINE know no mask: the padding is
filled with the mean colour, and their boxes are parts of the padded square. In both every pixel
of the padding is overwritten before the model sees it and the square is of one size, so the
answer for a picture depends on nothing but the picture.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from unittest import mock

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from trainer.normalization import normalize, to_unit

DETR: Final = "detr"


class ServedDetector(nn.Module):
    """A detector with normalisation and masking before it, and its post-processing behind it."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """RGB uint8 image[B, S, S, 3], int32 size[B, 2] -> boxes[B, Q, 4], scores[B, Q], labels.

        Boxes are xyxy in [0, 1] of the picture without its padding, scores in [0, 1], labels
        int32[B, Q]; the size is the height and width of the picture within the square.
        """
        inputs = masked_inputs(to_unit(image), size)
        with _traceable(self.model):
            result = self.model(**inputs)
        return detections(self.model, result.logits, result.pred_boxes, size, image.shape[1])


def masked_inputs(pixels: Tensor, size: Tensor) -> dict[str, Tensor]:
    """RGB pixels[B, 3, S, S] in [0, 1], size[B, 2] -> pixel_values, and pixel_mask[B, S, S].

    The padding becomes the mean colour, which is zero after the normalisation.
    """
    place = torch.arange(pixels.shape[-1], device=pixels.device)
    rows, columns = place < size[:, 0:1], place < size[:, 1:2]
    mask = rows[:, :, None] & columns[:, None, :]
    values = normalize(pixels) * mask[:, None].to(pixels.dtype)
    return {"pixel_values": values, "pixel_mask": mask.to(torch.int64)}


def detections(
    model: nn.Module, logits: Tensor, pred_boxes: Tensor, size: Tensor, side: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The model's outputs -> boxes[B, Q, 4], scores[B, Q], labels[B, Q], as `ServedDetector`.

    DETR's scores are a softmax over the labels and "no object"; a query is its best label. The
    later detectors' are a sigmoid each; the best Q pairs of query and label are taken. Both as
    their own `post_process_object_detection` has it.
    """
    if is_detr(model):
        scores, labels = logits.softmax(-1)[..., :-1].max(-1)
        boxes = _xyxy(pred_boxes)
    else:
        queries, classes = logits.shape[1], logits.shape[2]
        scores, index = logits.sigmoid().flatten(1).topk(queries, dim=1)
        labels = index % classes
        query = torch.div(index, classes, rounding_mode="floor")
        boxes = _xyxy(pred_boxes).gather(1, query[..., None].expand(-1, -1, 4))
        boxes = boxes * (side / size.flip(1).repeat(1, 2).to(boxes.dtype))[:, None]
    return boxes.clamp(0, 1), scores, labels.to(torch.int32)


def is_detr(model: nn.Module) -> bool:
    """Whether the model masks the padding and answers in the picture's own frame."""
    config = getattr(model, "config", None)
    return getattr(config, "model_type", None) == DETR


def _xyxy(boxes: Tensor) -> Tensor:
    """Centre, width and height [..., 4] -> xyxy [..., 4]."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


@contextmanager
def _traceable(model: PreTrainedModel) -> Iterator[None]:
    """While torch.export traces, let two lines of transformers' modelling code pass.

    RT-DETRv2's and D-FINE's forward take `len(source_flatten)` for the batch size, and len() must
    return a plain int, which fixes the traced size as the only one; and they check the lengths of
    constants in the graph (`torch_compilable_check`), by an operator that ONNX lacks. Both names
    are shadowed in the model's own module for as long as its forward runs (transformers 5.23,
    RTDetrV2Model and DFineModel .forward, and their MultiscaleDeformableAttention's).
    """
    if not torch.compiler.is_exporting():
        yield
        return
    shadows: Mapping[str, object] = {"len": _length, "torch_compilable_check": _unchecked}
    with mock.patch.dict(vars(sys.modules[_modelling_module(model)]), shadows):
        yield


def _modelling_module(model: PreTrainedModel) -> str:
    """The module of transformers that defines the model, or the class that ours derives from."""
    names = (base.__module__ for base in type(model).__mro__)
    return next(name for name in names if name.startswith("transformers.models."))


def _length(value: object) -> object:
    """len(), symbolic for a tensor."""
    if isinstance(value, Tensor):
        return value.shape[0]
    return value.__len__()  # type: ignore[attr-defined]  # as len() does


def _unchecked(*_: object, **__: object) -> None:
    """No check."""
