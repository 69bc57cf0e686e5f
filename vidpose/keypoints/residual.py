"""Residual layers, of which HRNet, the hourglass and CPN's ResNet are made; the blocks are torchvision's.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016.
"""

from __future__ import annotations

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

__all__ = ["BasicBlock", "Bottleneck", "heatmap_layer", "norm_conv", "residual_block", "residual_layer"]

_FIRST_ANSWERS = 1e-3
"""Standard deviation, of HRNet's authors."""


def norm_conv(inputs: int, outputs: int, size: int = 1, stride: int = 1) -> list[nn.Module]:
    """A convolution that keeps height and width, but for its stride, and the batch normalisation behind it."""
    return [nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs)]


def residual_block(block: type[BasicBlock | Bottleneck], inputs: int, width: int, stride: int = 1) -> nn.Module:
    """A block of `width * block.expansion` outputs, with a convolution beside it where shapes differ."""
    outputs = width * block.expansion
    fits = stride == 1 and inputs == outputs
    return block(inputs, width, stride, None if fits else nn.Sequential(*norm_conv(inputs, outputs, 1, stride)))


def residual_layer(
    block: type[BasicBlock | Bottleneck], inputs: int, width: int, blocks: int, stride: int = 1
) -> nn.Sequential:
    """Blocks in a row, of which the first has the stride and changes the width."""
    rest = (residual_block(block, width * block.expansion, width) for _ in range(blocks - 1))
    return nn.Sequential(residual_block(block, inputs, width, stride), *rest)


def heatmap_layer(inputs: int, joints: int) -> nn.Conv2d:
    """A 1x1 convolution to heatmaps. Untrained, it answers next to nothing, as heatmaps nearly everywhere are: from the
    usual weights a training has to unlearn its first answers for hundreds of steps."""
    layer = nn.Conv2d(inputs, joints, 1)
    nn.init.normal_(layer.weight, std=_FIRST_ANSWERS)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
