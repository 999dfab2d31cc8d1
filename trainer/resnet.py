"""ResNet classifiers of transformers, by size name, from a checkpoint folder or from the hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import PreTrainedModel, ResNetConfig, ResNetForImageClassification
from transformers.modeling_outputs import ImageClassifierOutputWithNoAttention
from transformers.models.resnet.modeling_resnet import (
    ResNetBasicLayer,
    ResNetBottleNeckLayer,
    ResNetConvLayer,
)

from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.normalization import grey
from trainer.weights import Family, labelled, load_pretrained, source_of


@dataclass(frozen=True, slots=True)
class Size:
    """The shape of a ResNet; `hub_id` names pretrained weights, if there are any.

    One for `small_images` begins at the picture's own size.
    """

    layer_type: Literal["basic", "bottleneck"]
    depths: tuple[int, ...]
    hidden_sizes: tuple[int, ...]
    embedding_size: int = 64
    hub_id: str = ""
    small_images: bool = False


def _small(blocks: int) -> Size:
    """He et al. 2015 (arXiv 1512.03385, section 4.2): 3 stages, 6 layers for each block and 2."""
    return Size("basic", (blocks,) * 3, (16, 32, 64), 16, small_images=True)


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
    # He et al. 2016 (arXiv 1603.05027), table 5, whose residual units begin with their norms; these
    # are the others' units. The hub has no weights of it.
    "resnet-200": Size("bottleneck", (3, 24, 36, 3), _BOTTLENECK),
    # Shortcuts to another size are projections, as MXNet's, and no zeros as in the paper.
    "resnet-cifar-8": _small(1),  # ours, for tests
    "resnet-cifar-20": _small(3),
    "resnet-cifar-32": _small(5),
    "resnet-cifar-44": _small(7),
    "resnet-cifar-56": _small(9),
    "resnet-cifar-110": _small(18),
}


class ResNet(ResNetForImageClassification):
    """transformers' ResNet, with another stem if its configuration says `small_images`.

    It sees pictures in grey if that says `grey`: in training and wherever it serves.

    Attributes:
        positive_weights: What each label's pictures count in a training's loss beside those without
            the label, [K]; None counts all alike. It is no part of a checkpoint.
    """

    positive_weights: Tensor | None

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config)
        self.register_buffer("positive_weights", None, persistent=False)
        if getattr(config, "small_images", False):
            setattr(self.resnet, "embedder", _SmallStem(config))  # noqa: B010 - typed otherwise
            self.post_init()

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None
    ) -> ImageClassifierOutputWithNoAttention:
        """pixel_values[B, 3, H, W] -> logits[B, K], and the loss if there are labels.

        labels[B] are of one label a picture, labels[B, M] of any number, filled up with NO_LABEL.
        """
        if getattr(self.config, "grey", False):
            pixel_values = grey(pixel_values)
        output: ImageClassifierOutputWithNoAttention = super().forward(pixel_values=pixel_values)
        if labels is not None and output.logits is not None:
            output.loss = self._loss(output.logits.float(), labels)
        return output

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        if labels.ndim == 1:
            return cross_entropy(logits, labels)
        weights = self.positive_weights if self.training else None
        truth = multi_hot(labels, logits.shape[1])
        return binary_cross_entropy_with_logits(logits, truth, pos_weight=weights)


def multi_hot(labels: Tensor, count: int) -> Tensor:
    """labels[B, M], class indices and NO_LABEL -> 1 where a picture has a label, [B, K]."""
    hot = torch.zeros(len(labels), count + 1, device=labels.device)
    return hot.scatter_(1, labels % (count + 1), 1.0)[
        :, :count
    ]  # NO_LABEL is the column that is cut off


def is_multi_label(model: PreTrainedModel) -> bool:
    """Whether a classifier's labels exclude each other or not."""
    return bool(model.config.problem_type == _PROBLEMS[True])


class _SmallStem(nn.Module):
    """One 3x3 convolution, which leaves the picture its size."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.embedder = ResNetConvLayer(config.num_channels, config.embedding_size, kernel_size=3)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """pixel_values[B, 3, H, W] -> features[B, C, H, W]."""
        features: Tensor = self.embedder(pixel_values)
        return features


FAMILY: Final = Family(
    hub_ids={name: size.hub_id for name, size in SIZES.items()},
    classes={ResNetConfig.model_type: ResNet},
    head=("classifier.",),
)

NO_LABEL: Final = -1

_PROBLEMS: Final = {False: "single_label_classification", True: "multi_label_classification"}


def build_resnet(wanted: ClassificationHyperparameters, labels: Sequence[str]) -> PreTrainedModel:
    """A ResNet with one output for each of `labels`.

    Raises:
        OptionsError: `model` is no size, no checkpoint folder, and not asked for from the hub.
        WeightsUnavailable: The weights cannot be read or fetched.
    """
    problem = _PROBLEMS[wanted.multi_label]
    if source := source_of(FAMILY, wanted):
        anew = wanted.reinitialize_top_layer
        return load_pretrained(FAMILY, source, labels, anew, problem_type=problem, grey=wanted.grey)
    size = SIZES[wanted.model]
    config = ResNetConfig(
        layer_type=size.layer_type,
        depths=list(size.depths),
        hidden_sizes=list(size.hidden_sizes),
        embedding_size=size.embedding_size,
    )
    stem = {"small_images": True} if size.small_images else {}
    colours = {"grey": True} if wanted.grey else {}
    model = ResNet(labelled(config, labels, problem_type=problem, **stem, **colours))
    start_blocks_as_identity(model)
    return model


def start_blocks_as_identity(model: nn.Module) -> None:
    """Zero the last scale of each residual block, as Goyal et al. 2017 (arXiv 1706.02677) do."""
    for module in model.modules():
        if isinstance(module, ResNetBasicLayer | ResNetBottleNeckLayer):
            last = module.layer[-1]
            assert isinstance(last, ResNetConvLayer)  # noqa: S101 - transformers' own layout
            nn.init.zeros_(last.normalization.weight)
