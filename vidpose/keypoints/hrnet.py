"""Deep High-Resolution Representation Learning for Human Pose Estimation.

Sun, Xiao, Liu, Wang, CVPR 2019. A stem takes the picture to a quarter of its size. From there on one branch keeps that
resolution, and each of stages 2 to 4 adds a branch of half the last one's and twice its width (section 3, Fig. 1). A
stage is a row of exchange units: residual blocks in every branch, then every branch becomes the sum of all, which
strided convolutions or a 1x1 convolution and nearest upsampling bring to its size (Fig. 3). The finest branch of the
last unit gives the heatmaps by a 1x1 convolution. W32: 28.5 M parameters, W48: 63.6 M; W24, ours: 2.7 M.

Parameters have mmpose's names. The authors' own checkpoints have the same without `backbone` and `head`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import nn

from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Depth
from vidpose.keypoints.keypoint_network import KeypointNetwork, NetworkConfig, Processing, layout_of
from vidpose.keypoints.residual import BasicBlock, Bottleneck, heatmap_layer, norm_conv, residual_layer

_STEM = 64


class ExchangeUnit(nn.Module):
    """Residual blocks in each branch, and the sum over all branches in each of the first `outputs` (Fig. 3)."""

    def __init__(self, widths: Sequence[int], blocks: int, outputs: int):
        super().__init__()
        self.branches = nn.ModuleList(residual_layer(BasicBlock, width, width, blocks) for width in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_bring(widths, source, target) for source in range(len(widths))) for target in range(outputs)
        )

    def forward(self, features: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        features = [branch(feature) for branch, feature in zip(self.branches, features, strict=True)]
        fused = []
        for row in self.fuse_layers:
            assert isinstance(row, nn.ModuleList)
            brought = (layer(feature) for layer, feature in zip(row, features, strict=True))
            fused.append(reduce(torch.add, brought).relu())
        return fused


def _bring(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """From one branch's resolution and width to another's."""
    if source == target:
        return nn.Identity()
    if source > target:
        upsample = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
        return nn.Sequential(*norm_conv(widths[source], widths[target]), upsample)
    halvings = [_halve(widths[source], widths[source], nn.ReLU()) for _ in range(target - source - 1)]
    return nn.Sequential(*halvings, _halve(widths[source], widths[target]))


def _halve(inputs: int, outputs: int, *activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(*norm_conv(inputs, outputs, 3, stride=2), *activation)


class HrnetBackbone(nn.Module):
    """(B, 3, H, W) -> (B, width, H / 4, W / 4)."""

    def __init__(self, config: HRNet.Config):
        super().__init__()
        self.conv1, self.bn1 = norm_conv(3, _STEM, 3, stride=2)
        self.conv2, self.bn2 = norm_conv(_STEM, _STEM, 3, stride=2)
        self.layer1 = residual_layer(Bottleneck, _STEM, config.bottleneck_width, config.bottlenecks)
        have = [config.bottleneck_width * Bottleneck.expansion]
        for stage, units in enumerate(config.units, start=2):
            widths = [config.width * 2**branch for branch in range(stage)]
            setattr(self, f"transition{stage - 1}", _transition(have, widths))
            # Only the finest branch of the very last unit is of use.
            outputs = [stage] * (units - 1) + [1 if stage == 4 else stage]
            setattr(self, f"stage{stage}", nn.Sequential(*(ExchangeUnit(widths, config.blocks, o) for o in outputs)))
            have = widths

    def forward(self, crops_BCHW: torch.Tensor) -> torch.Tensor:
        features = self.bn2(self.conv2(self.bn1(self.conv1(crops_BCHW)).relu())).relu()
        branches = [self.layer1(features)]
        for stage in (2, 3, 4):
            transition = getattr(self, f"transition{stage - 1}")
            # A new branch starts from the last one there is.
            branches = [layer(branches[min(i, len(branches) - 1)]) for i, layer in enumerate(transition)]
            branches = getattr(self, f"stage{stage}")(branches)
        return branches[0]


def _transition(have: Sequence[int], widths: Sequence[int]) -> nn.ModuleList:
    """From the branches of one stage to those of the next, which has one more."""
    layers = [
        nn.Identity() if old == new else nn.Sequential(*norm_conv(old, new, 3), nn.ReLU())
        for old, new in zip(have, widths, strict=False)
    ]
    return nn.ModuleList([*layers, nn.Sequential(_halve(have[-1], widths[-1], nn.ReLU()))])


class HrnetHead(nn.Module):
    """(B, width, Y, X) -> (B, J, Y, X)."""

    def __init__(self, width: int, joints: int):
        super().__init__()
        self.final_layer = heatmap_layer(width, joints)

    def forward(self, features_BDYX: torch.Tensor) -> torch.Tensor:
        return self.final_layer(features_BDYX)


class HRNet(KeypointNetwork):
    """HRNet of any size."""

    @dataclass(frozen=True)
    class Config(NetworkConfig):
        """Widths, and how many of what there are.

        Attributes:
            width: of the finest branch.
            bottleneck_width, bottlenecks: of stage 1, whose output is four times as wide.
            blocks: residual blocks in a branch of an exchange unit.
            units: exchange units of stages 2, 3 and 4.
        """

        width: Count = 32
        bottleneck_width: Count = 64
        bottlenecks: Depth = 4
        blocks: Depth = 4
        units: tuple[Depth, Depth, Depth] = (1, 4, 3)

    tiny = {"width": 4, "bottleneck_width": 4, "bottlenecks": 1, "blocks": 1, "units": (1, 1, 1)}  # noqa: RUF012

    def __init__(self, config: Config):
        super().__init__(config)
        self.backbone = HrnetBackbone(config)
        self.head = HrnetHead(config.width, len(self.layout))

    def predictions(self, crops_BCHW: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.head(self.backbone(crops_BCHW)),)

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        return {
            "layout": layout_of(tensors["head.final_layer.weight"]),
            "width": len(tensors["backbone.stage2.0.branches.0.0.conv1.weight"]),
            "bottleneck_width": len(tensors["backbone.layer1.0.conv1.weight"]),
            "bottlenecks": count_blocks(tensors, "backbone.layer1"),
            "blocks": count_blocks(tensors, "backbone.stage2.0.branches.0"),
            "units": tuple(count_blocks(tensors, f"backbone.stage{stage}") for stage in (2, 3, 4)),
        }

    @classmethod
    def from_authors(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if "final_layer.weight" in tensors:
            return {("head." if k.startswith("final_layer.") else "backbone.") + k: v for k, v in tensors.items()}
        return super().from_authors(tensors)


class HRNetW32(HRNet):
    """The smaller one of the paper (section 4.1)."""

    name = "hrnet-w32"


class HRNetW48(HRNet):
    """The larger one of the paper (section 4.1)."""

    name = "hrnet-w48"

    @dataclass(frozen=True)
    class Config(HRNet.Config):
        """As HRNet's."""

        width: Count = 48


class HRNetW24(HRNet):
    """A small one of ours, of no paper: fewer blocks and units, and a stage 1 of a quarter of the width.

    Sees 128x160 pixels, and is fast enough for a CPU.
    """

    name = "hrnet-w24"

    @dataclass(frozen=True)
    class Config(HRNet.Config):
        """As HRNet's; its joints are the lifters' own."""

        layout: str = "h36m17"
        width: Count = 24
        bottleneck_width: Count = 16
        bottlenecks: Depth = 1
        blocks: Depth = 2
        units: tuple[Depth, Depth, Depth] = (1, 1, 1)

    processing = Processing(input_size=(128, 160), alignment="centre", decoding="dark")
