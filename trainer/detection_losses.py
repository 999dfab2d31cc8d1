"""The parts of a detector's loss -> what it costs to misplace a box, and to mistake its class.

transformers' detectors return each part of their loss by its name, of each decoder layer: DETR as
it is, before its weight, RT-DETR, RT-DETRv2 and D-FINE weighted. The two sums here make up the loss.
"""

from collections.abc import Mapping
from typing import Final

from torch import Tensor
from transformers import PreTrainedConfig

LOCALIZATION: Final = "loss_localization"
CLASSIFICATION: Final = "loss_classification"

_PARTS: Final = {
    "loss_bbox": LOCALIZATION,  # L1 of centre, width and height
    "loss_giou": LOCALIZATION,
    "loss_fgl": LOCALIZATION,  # D-FINE's distributions of a box's edges
    "loss_ddf": LOCALIZATION,
    "loss_ce": CLASSIFICATION,  # DETR's
    "loss_vfl": CLASSIFICATION,  # RT-DETR's and D-FINE's
}


def loss_parts(config: PreTrainedConfig, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The scalars LOCALIZATION and CLASSIFICATION, whose sum is the loss.

    Args:
        config: The detector's configuration, which has DETR's weights.
        named: A forward's `loss_dict`, such as loss_bbox, loss_bbox_0 and loss_bbox_aux_1.
    """
    weights = _weights(config)
    zero = next(iter(named.values())).new_zeros(())
    parts = {LOCALIZATION: zero, CLASSIFICATION: zero}
    for name, value in named.items():
        kind = "_".join(name.split("_")[:2])
        if kind in _PARTS:
            parts[_PARTS[kind]] = parts[_PARTS[kind]] + weights.get(kind, 1.0) * value
    return parts


def _weights(config: PreTrainedConfig) -> dict[str, float]:
    """What the parts are still to be multiplied by."""
    if config.model_type != "detr":
        return {}
    return {
        "loss_bbox": float(config.bbox_loss_coefficient),
        "loss_giou": float(config.giou_loss_coefficient),
    }
