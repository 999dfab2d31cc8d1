"""The sizes of detectors as transformers' configurations, and where the hub has weights of them.

The numbers are the papers': DETR (Carion et al. 2020, arXiv 2005.12872), RT-DETRv2 (Lv et al.
2024, arXiv 2407.17140) and D-FINE (Peng et al. 2024, arXiv 2410.13842). Batch norms of RT-DETR's
and D-FINE's backbones are trained, which random weights need. Plain data: nothing is imported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

# Xavier's for layers of 256 inputs and outputs, which the originals start with; transformers'
# default of 0.01 is for weights that are loaded.
_WEIGHT_STD: Final = 0.06


@dataclass(frozen=True, slots=True)
class Size:
    """A detector of a size: its configuration's fields, and pretrained weights if there are any."""

    config: Mapping[str, Any]
    hub_id: str = ""


def _detr(depths: Sequence[int]) -> dict[str, Any]:
    return {
        "model_type": "detr",
        "use_timm_backbone": False,
        "backbone_config": {
            "model_type": "resnet",
            "depths": list(depths),
            "out_features": ["stage4"],
        },
    }


def _rt_detr(depths: Sequence[int], *, basic: bool = False, **more: Any) -> dict[str, Any]:
    widths = [64, 128, 256, 512] if basic else [256, 512, 1024, 2048]
    return {
        "model_type": "rt_detr_v2",
        "backbone_config": {
            "model_type": "rt_detr_resnet",
            "layer_type": "basic" if basic else "bottleneck",
            "depths": list(depths),
            "hidden_sizes": widths,
            "out_indices": [2, 3, 4],
        },
        "encoder_in_channels": widths[1:],
        "hidden_expansion": 0.5 if basic else 1.0,
        "freeze_backbone_batch_norms": False,
        "initializer_range": _WEIGHT_STD,
        "initializer_bias_prior_prob": 0.01,  # most queries show nothing, however few the labels
        **more,
    }


def _hgnet(
    widths: Sequence[int], stem: Sequence[int], layers: int, third: int, **more: object
) -> dict[str, Any]:
    """HGNetV2 of stages that put out `widths`; `third` blocks in the third of them."""
    return {
        "model_type": "hgnet_v2",
        "stem_channels": [3, *stem],
        "stage_in_channels": [stem[1], *widths[:3]],
        "stage_mid_channels": [stem[1] * 2**stage for stage in range(4)],
        "stage_out_channels": list(widths),
        "hidden_sizes": list(widths),
        "stage_num_blocks": [1, 1, third, 1],
        "stage_numb_of_layers": [layers] * 4,
        "depths": [1, 1, 1, 1],
        "out_indices": [2, 3, 4],
        **more,
    }


def _dfine(backbone: Mapping[str, Any], **more: object) -> dict[str, Any]:
    return {
        "model_type": "d_fine",
        "backbone_config": dict(backbone),
        "encoder_in_channels": backbone["stage_out_channels"][1:],
        "decoder_n_points": [3, 6, 3],
        "freeze_backbone_batch_norms": False,
        "initializer_range": 0.01,  # with RT-DETR's it learned the sample data more slowly
        "initializer_bias_prior_prob": 0.01,  # most queries show nothing, however few the labels
        **more,
    }


def _narrow(width: int, queries: int) -> dict[str, Any]:
    """An encoder and a decoder of three levels, of a width for small pictures."""
    return {
        "d_model": width,
        "encoder_hidden_dim": width,
        "decoder_in_channels": [width] * 3,
        "encoder_ffn_dim": 2 * width,
        "decoder_ffn_dim": 2 * width,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "decoder_layers": 3,
        "num_queries": queries,
        "num_denoising": 50,
        "hidden_expansion": 0.5,
    }


_HGNET_B0: Final = _hgnet((64, 256, 512, 1024), (16, 16), 3, 2, use_learnable_affine_block=True)
_HGNET_B2: Final = _hgnet((96, 384, 768, 1536), (24, 32), 4, 3, use_learnable_affine_block=True)
_HGNET_B4: Final = _hgnet((128, 512, 1024, 2048), (32, 48), 6, 3)
_HGNET_B5: Final = _hgnet((128, 512, 1024, 2048), (32, 64), 6, 5, stage_num_blocks=[1, 2, 5, 2])
_HGNET_TINY: Final = _hgnet((32, 64, 128, 256), (16, 16), 2, 1)
_WIDE: Final[dict[str, Any]] = {
    "encoder_hidden_dim": 384,
    "encoder_ffn_dim": 2048,
    "decoder_in_channels": [384] * 3,
}
_NANO: Final = {
    "d_model": 128,
    "encoder_hidden_dim": 128,
    "decoder_in_channels": [128, 128],
    "encoder_in_channels": [512, 1024],
    "encoder_ffn_dim": 512,
    "decoder_ffn_dim": 512,
    "decoder_n_points": [6, 6],
    "num_feature_levels": 2,
    "feat_strides": [16, 32],
    "encode_proj_layers": [1],
    "depth_mult": 0.5,
    "hidden_expansion": 0.34,
    "decoder_layers": 3,
}
_DETR_TINY: Final = {
    "backbone_config": {
        "model_type": "resnet",
        "layer_type": "basic",
        "embedding_size": 8,
        "hidden_sizes": [8, 16, 32, 64],
        "depths": [1, 1, 1, 1],
        "out_features": ["stage4"],
    },
    "d_model": 32,
    "num_queries": 20,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
}
_RT_DETR_TINY: Final = {
    "backbone_config": {
        "model_type": "rt_detr_resnet",
        "layer_type": "basic",
        "embedding_size": 16,
        "hidden_sizes": [16, 32, 64, 128],
        "depths": [1, 1, 1, 1],
        "out_indices": [2, 3, 4],
    },
    "encoder_in_channels": [32, 64, 128],
}

SIZES: Final[Mapping[str, Size]] = {
    "detr-resnet-50": Size(_detr((3, 4, 6, 3)), "facebook/detr-resnet-50"),
    "detr-resnet-101": Size(_detr((3, 4, 23, 3)), "facebook/detr-resnet-101"),
    "rtdetr-v2-r18": Size(
        _rt_detr((2, 2, 2, 2), basic=True, decoder_layers=3), "PekingU/rtdetr_v2_r18vd"
    ),
    "rtdetr-v2-r34": Size(
        _rt_detr((3, 4, 6, 3), basic=True, decoder_layers=4), "PekingU/rtdetr_v2_r34vd"
    ),
    "rtdetr-v2-r50": Size(_rt_detr((3, 4, 6, 3)), "PekingU/rtdetr_v2_r50vd"),
    "rtdetr-v2-r101": Size(_rt_detr((3, 4, 23, 3), **_WIDE), "PekingU/rtdetr_v2_r101vd"),
    "dfine-nano": Size(
        _dfine({**_HGNET_B0, "out_indices": [3, 4]}, **_NANO), "ustc-community/dfine-nano-coco"
    ),
    "dfine-small": Size(
        _dfine(_HGNET_B0, depth_mult=0.34, hidden_expansion=0.5, decoder_layers=3),
        "ustc-community/dfine-small-coco",
    ),
    "dfine-medium": Size(
        _dfine(_HGNET_B2, depth_mult=0.67, decoder_layers=4), "ustc-community/dfine-medium-coco"
    ),
    "dfine-large": Size(_dfine(_HGNET_B4), "ustc-community/dfine-large-coco"),
    "dfine-xlarge": Size(_dfine(_HGNET_B5, **_WIDE), "ustc-community/dfine-xlarge-coco"),
    # ours, for small pictures, demonstrations and tests on two cores
    "dfine-tiny": Size(_dfine(_HGNET_TINY, depth_mult=0.34, **_narrow(64, queries=30))),
    "rtdetr-v2-tiny": Size(
        {**_rt_detr((), basic=True), **_RT_DETR_TINY, **_narrow(64, queries=30)}
    ),
    "detr-tiny": Size({**_detr(()), **_DETR_TINY}),
}
