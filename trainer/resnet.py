"""ResNet classifiers of transformers, by size name, from a checkpoint folder or from the hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from torch import nn
from transformers import PreTrainedModel, ResNetConfig, ResNetForImageClassification
from transformers.models.resnet.modeling_resnet import (
    ResNetBasicLayer,
    ResNetBottleNeckLayer,
    ResNetConvLayer,
)

from trainer.hyperparameters import Hyperparameters
from trainer.weights import Family, labelled, load_pretrained, source_of


@dataclass(frozen=True, slots=True)
class Size:
    """The shape of a ResNet; `hub_id` names pretrained weights, if there are any."""

    layer_type: Literal["basic", "bottleneck"]
    depths: tuple[int, ...]
    hidden_sizes: tuple[int, ...]
    embedding_size: int = 64
    hub_id: str = ""


_BASIC = (64, 128, 256, 512)
_BOTTLENECK = (256, 512, 1024, 2048)

SIZES: Final = {
    # ours, a hundredth of ResNet-18, for tests and demonstrations on two cores
    "resnet-tiny": Size("basic", (1, 1, 1), (16, 32, 64), 16),
    "resnet-18": Size("basic", (2, 2, 2, 2), _BASIC, hub_id="microsoft/resnet-18"),
    "resnet-26": Size("bottleneck", (2, 2, 2, 2), _BOTTLENECK, hub_id="microsoft/resnet-26"),
    "resnet-34": Size("basic", (3, 4, 6, 3), _BASIC, hub_id="microsoft/resnet-34"),
    "resnet-50": Size("bottleneck", (3, 4, 6, 3), _BOTTLENECK, hub_id="microsoft/resnet-50"),
    "resnet-101": Size("bottleneck", (3, 4, 23, 3), _BOTTLENECK, hub_id="microsoft/resnet-101"),
    "resnet-152": Size("bottleneck", (3, 8, 36, 3), _BOTTLENECK, hub_id="microsoft/resnet-152"),
}


FAMILY: Final = Family(
    hub_ids={name: size.hub_id for name, size in SIZES.items()},
    classes={ResNetConfig.model_type: ResNetForImageClassification},
    head=("classifier.",),
)

_PROBLEM: Final = "single_label_classification"


def build_resnet(wanted: Hyperparameters, labels: Sequence[str]) -> PreTrainedModel:
    """A ResNet with one output for each of `labels`.

    Raises:
        OptionsError: `model` is no size, no checkpoint folder, and not asked for from the hub.
        WeightsUnavailable: The weights cannot be read or fetched.
    """
    if source := source_of(FAMILY, wanted):
        return load_pretrained(FAMILY, source, labels, problem_type=_PROBLEM)
    size = SIZES[wanted.model]
    config = ResNetConfig(
        layer_type=size.layer_type,
        depths=list(size.depths),
        hidden_sizes=list(size.hidden_sizes),
        embedding_size=size.embedding_size,
    )
    model = ResNetForImageClassification(labelled(config, labels, problem_type=_PROBLEM))
    _start_blocks_as_identity(model)
    return model


def _start_blocks_as_identity(model: nn.Module) -> None:
    """Zero the last scale of each residual block, as Goyal et al. 2017 (arXiv 1706.02677) do."""
    for module in model.modules():
        if isinstance(module, ResNetBasicLayer | ResNetBottleNeckLayer):
            last = module.layer[-1]
            assert isinstance(last, ResNetConvLayer)  # noqa: S101 - transformers' own layout
            nn.init.zeros_(last.normalization.weight)
