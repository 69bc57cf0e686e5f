"""Cascaded Pyramid Network for Multi-Person Pose Estimation.

Chen, Wang, Peng, Zhang, Yu, Sun, CVPR 2018. A ResNet-50 gives features at 1/32, 1/16, 1/8 and 1/4 of the picture's
size. GlobalNet (section 3.2) brings each to 256 channels, adds to it the coarser one, upsampled and through a 1x1
convolution, and predicts heatmaps from each. RefineNet (section 3.3) passes the coarser levels through more
bottlenecks, three at 1/32 and none at 1/4, brings all to 1/4, and predicts from them together. 27.4 M parameters.

The authors released TensorFlow code. We follow the PyTorch one with published weights, GengDavid/pytorch-cpn, and its
names of parameters: upsampling is bilinear from corner to corner, and batch normalisation comes last. Its evaluation
blurs heatmaps, moves the peak a quarter of a cell towards the second highest cell, wherever that is, and fills what is
beyond the picture with the mean colour; here the move is towards the higher neighbours, and there it is black.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Depth
from vidpose.keypoints.keypoint_network import KeypointNetwork, NetworkConfig, Processing, layout_of
from vidpose.keypoints.residual import Bottleneck, norm_conv, residual_layer

_LEVELS = 4


class ResNet(nn.Module):
    """(B, 3, H, W) -> features at 1/32, 1/16, 1/8 and 1/4 of H and W."""

    def __init__(self, width: int, blocks: Sequence[int]):
        super().__init__()
        self.conv1, self.bn1 = norm_conv(3, width, 7, stride=2)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = width
        for level, count in enumerate(blocks):
            layer = residual_layer(Bottleneck, inputs, width * 2**level, count, stride=1 if level == 0 else 2)
            setattr(self, f"layer{level + 1}", layer)
            inputs = width * 2**level * Bottleneck.expansion

    def forward(self, crops_BCHW: torch.Tensor) -> list[torch.Tensor]:
        features = [self.maxpool(self.bn1(self.conv1(crops_BCHW)).relu())]
        for level in range(1, _LEVELS + 1):
            features.append(getattr(self, f"layer{level}")(features[-1]))
        return features[:0:-1]


class GlobalNet(nn.Module):
    """Features, from the coarsest -> features of one width, and a prediction from each (section 3.2)."""

    def __init__(self, inputs: Sequence[int], width: int, joints: int):
        super().__init__()
        self.laterals = nn.ModuleList(nn.Sequential(*norm_conv(count, width), nn.ReLU()) for count in inputs)
        self.upsamples = nn.ModuleList(
            nn.Sequential(_upsample(1), nn.Conv2d(width, width, 1), nn.BatchNorm2d(width)) for _ in inputs[1:]
        )
        self.predict = nn.ModuleList(
            nn.Sequential(
                *norm_conv(width, width),
                nn.ReLU(),
                nn.Conv2d(width, joints, 3, padding=1, bias=False),
                _upsample(_LEVELS - 1 - level),
                nn.BatchNorm2d(joints),
            )
            for level in range(len(inputs))
        )

    def forward(self, features: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        pyramid: list[torch.Tensor] = []
        for level, (lateral, feature) in enumerate(zip(self.laterals, features, strict=True)):
            above = self.upsamples[level - 1](pyramid[-1]) if pyramid else 0
            pyramid.append(lateral(feature) + above)
        return pyramid, [predict(feature) for predict, feature in zip(self.predict, pyramid, strict=True)]


class RefineBottleneck(Bottleneck):
    """A bottleneck whose output is twice as wide as its middle, with a convolution beside it always."""

    expansion = 2

    def __init__(self, inputs: int, width: int):
        super().__init__(inputs, width, downsample=nn.Sequential(*norm_conv(inputs, 2 * width)))


class RefineNet(nn.Module):
    """The pyramid, from the coarsest -> the final prediction (section 3.3)."""

    def __init__(self, width: int, joints: int):
        super().__init__()
        self.cascade = nn.ModuleList(
            nn.Sequential(*(RefineBottleneck(width, width // 2) for _ in range(depth)), _upsample(depth))
            for depth in reversed(range(_LEVELS))
        )
        self.final_predict = nn.Sequential(RefineBottleneck(_LEVELS * width, width // 2), *norm_conv(width, joints, 3))

    def forward(self, pyramid: Sequence[torch.Tensor]) -> torch.Tensor:
        refined = [layer(feature) for layer, feature in zip(self.cascade, pyramid, strict=True)]
        return self.final_predict(torch.cat(refined, dim=1))


def _upsample(doublings: int) -> nn.Module:
    return nn.Upsample(scale_factor=2**doublings, mode="bilinear", align_corners=True)


class CPN(KeypointNetwork):
    """CPN on a ResNet of bottlenecks."""

    name = "cpn"

    @dataclass(frozen=True)
    class Config(NetworkConfig):
        """`width` of the ResNet's stem, its `blocks` at each level, `features` of the pyramid."""

        width: Count = 64
        blocks: tuple[Depth, Depth, Depth, Depth] = (3, 4, 6, 3)
        features: Count = 256

    processing = Processing(
        mean=(122.7717, 115.9465, 102.9801), std=(255.0, 255.0, 255.0), margin=(1.2, 1.3), alignment="centre"
    )
    tiny = {"width": 4, "blocks": (1, 1, 1, 1), "features": 8}  # noqa: RUF012

    def __init__(self, config: Config):
        super().__init__(config)
        outputs = [config.width * 2**level * Bottleneck.expansion for level in reversed(range(_LEVELS))]
        self.resnet = ResNet(config.width, config.blocks)
        self.global_net = GlobalNet(outputs, config.features, len(self.layout))
        self.refine_net = RefineNet(config.features, len(self.layout))

    def predictions(self, crops_BCHW: torch.Tensor) -> tuple[torch.Tensor, ...]:
        pyramid, coarse = self.global_net(self.resnet(crops_BCHW))
        return (*coarse, self.refine_net(pyramid))

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        return {
            "layout": layout_of(tensors["refine_net.final_predict.1.weight"]),
            "width": len(tensors["resnet.conv1.weight"]),
            "blocks": tuple(count_blocks(tensors, f"resnet.layer{level + 1}") for level in range(_LEVELS)),
            "features": len(tensors["global_net.laterals.0.0.weight"]),
        }
