"""A ResNet that keeps its resolution: strides become dilations, and every weight stays as it is.

A convolution without its stride gives four times the values, the old ones among them at every
second row and column. What follows sees the old ones alone, as it did, if its taps are twice as
far apart. So the network computes at each place what it would compute if its grid began there, and
weights that were trained with strides mean the same (the "à trous" algorithm; Chen et al. 2017,
arXiv 1706.05587, section 3.1; Yu et al. 2017, arXiv 1705.09914). The price is 4 times the
arithmetic for each stride that is gone, and as much more memory for what is kept to train.
"""

from collections.abc import Iterable

from torch import nn
from transformers.models.resnet.modeling_resnet import ResNetConvLayer, ResNetShortCut


def dilate(stages: Iterable[nn.Module]) -> None:
    """Let consecutive stages of a ResNet keep the height and width that the first one is given."""
    dilation = 1
    for stage in stages:
        for layer in stage.modules():
            if isinstance(layer, ResNetShortCut):
                layer.convolution.stride = (1, 1)
            elif isinstance(layer, ResNetConvLayer):
                dilation *= _dilate(layer.convolution, dilation)


def _dilate(convolution: nn.Conv2d, dilation: int) -> int:
    """Set the taps `dilation` apart, and return the stride, which is 1 from then on."""
    stride, side = convolution.stride[0], convolution.kernel_size[0]
    padding = dilation * (side // 2)
    convolution.dilation, convolution.padding = (dilation, dilation), (padding, padding)
    convolution.stride = (1, 1)
    return stride
