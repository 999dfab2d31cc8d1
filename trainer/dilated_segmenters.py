"""FCN, PSPNet and DeepLabV3: a dilated ResNet of transformers under a decoder of ours.

Pictures[B, 3, S, S] -> logits[B, K, S/8, S/8]. A checkpoint is a folder of transformers like any
other, its weights those of a ResNet, `resnet.`, beside `decode_head.` and `auxiliary_head.`: so a
ResNet's own checkpoint, from the hub or the disk, loads into the backbone as it is.
"""

from typing import ClassVar, Final

import torch
from torch import Tensor, nn
from transformers import ResNetConfig, initialization
from transformers.modeling_outputs import SemanticSegmenterOutput
from transformers.models.resnet.modeling_resnet import ResNetModel, ResNetPreTrainedModel

from trainer.dilation import dilate
from trainer.pixel_loss import pixel_loss
from trainer.segmentation_heads import (
    CLASSIFIER_STD,
    AtrousHead,
    FcnHead,
    PixelClassifier,
    PyramidHead,
)

HEAD: Final = ("decode_head.", "auxiliary_head.")
"""How the names of the weights begin that are not the backbone's."""

_STRIDED: Final = 2  # the stem and so many stages bring a picture to an eighth; the rest keep it


class DilatedConfig(ResNetConfig):
    """A ResNet's configuration, and the decoder's."""

    hidden_sizes: list[int] | tuple[int, ...] = (256, 512, 1024, 2048)
    head_channels: int = 512
    auxiliary_weight: float = 0.5  # GluonCV's; Zhao et al. 2017, section 3.3, have 0.4


class FcnConfig(DilatedConfig):
    """FCN's configuration."""

    model_type = "fcn-resnet"


class PspConfig(DilatedConfig):
    """PSPNet's configuration."""

    model_type = "psp-resnet"


class DeepLabConfig(DilatedConfig):
    """DeepLabV3's configuration; its rates are the paper's for an eighth of the picture."""

    model_type = "deeplab-v3-resnet"

    head_channels: int = 256
    atrous_rates: list[int] | tuple[int, ...] = (12, 24, 36)


class DilatedSegmenter(ResNetPreTrainedModel):
    """A dilated ResNet, a decoder, and a second decoder that only helps to train.

    The auxiliary FCN head looks at the last stage but one; its loss, weighted, is added to the
    decoder's in training mode (Zhao et al. 2017, arXiv 1612.01105, section 3.3).
    """

    config: DilatedConfig
    config_class: type[DilatedConfig]
    output_stride: ClassVar[int] = 8
    input_multiple: ClassVar[int] = 8
    pools_whole_pictures: ClassVar[bool] = False

    def __init__(self, config: DilatedConfig) -> None:
        super().__init__(config)
        self.resnet = ResNetModel(config)
        dilate(self.resnet.encoder.stages[_STRIDED:])
        *_, earlier, last = config.hidden_sizes
        labels = len(config.id2label or {})
        self.decode_head = self.make_head(config, last, labels)
        self.auxiliary_head = FcnHead(earlier, earlier // 4, labels)
        self.post_init()

    def make_head(self, config: DilatedConfig, channels: int, labels: int) -> nn.Module:
        """The decoder of features[B, channels, h, w]."""
        raise NotImplementedError

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None
    ) -> SemanticSegmenterOutput:
        """pixel_values[B, 3, S, S] -> logits[B, K, S/8, S/8], and the loss for labels[B, S, S]."""
        earlier, last = self._features(pixel_values)
        logits = self.decode_head(last)
        if labels is None:
            return SemanticSegmenterOutput(logits=logits)
        loss = pixel_loss(logits, labels)
        if self.training:
            auxiliary = pixel_loss(self.auxiliary_head(earlier), labels)
            loss = loss + self.config.auxiliary_weight * auxiliary
        return SemanticSegmenterOutput(loss=loss, logits=logits)

    def _features(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """What the last stage but one gives, and the last."""
        features = earlier = self.resnet.embedder(pixel_values)
        for stage in self.resnet.encoder.stages:
            features, earlier = stage(features), features
        return earlier, features

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """He's initialisation, as ResNet's, but of the classifiers."""
        super()._init_weights(module)
        if isinstance(module, PixelClassifier):
            initialization.normal_(module.weight, std=CLASSIFIER_STD)


class Fcn(DilatedSegmenter):
    """A fully convolutional network (Long et al. 2015, arXiv 1411.4038)."""

    config: FcnConfig
    config_class = FcnConfig

    def make_head(self, config: DilatedConfig, channels: int, labels: int) -> nn.Module:
        """A convolution and a classifier."""
        return FcnHead(channels, config.head_channels, labels)


class Psp(DilatedSegmenter):
    """PSPNet (Zhao et al. 2017, arXiv 1612.01105)."""

    config: PspConfig
    config_class = PspConfig
    pools_whole_pictures: ClassVar[bool] = True

    def make_head(self, config: DilatedConfig, channels: int, labels: int) -> nn.Module:
        """Pyramid pooling."""
        return PyramidHead(channels, config.head_channels, labels)


class DeepLab(DilatedSegmenter):
    """DeepLabV3 (Chen et al. 2017, arXiv 1706.05587)."""

    config: DeepLabConfig
    config_class = DeepLabConfig
    pools_whole_pictures: ClassVar[bool] = True

    def make_head(self, config: DilatedConfig, channels: int, labels: int) -> nn.Module:
        """Atrous spatial pyramid pooling."""
        assert isinstance(config, DeepLabConfig)  # noqa: S101 - this class's own
        return AtrousHead(channels, config.head_channels, labels, config.atrous_rates)
