"""NanoDet's network.

RangiLyu, NanoDet, 2020 (Apache-2.0), in its variant for a GPU, nanodet-g: a backbone of cross-stage blocks (Wang et
al., CSPNet, CVPR workshops 2020), a path aggregation network without convolutions, and for each scale a head that
gives boxes as distributions (Li et al., Generalized Focal Loss, NeurIPS 2020, section 3.2). Batch normalisation is
folded into the convolutions, and of COCO's 80 classes the person is kept.

Shape suffixes: B pictures, C channels, H and W height and width, A anchors: cells of all scales, S = 4 sides, N = 11
bins.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import interpolate

from vidpose.people.nanodet import BINS, STRIDES

_WIDTH = 128


def _convolution(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, stride, 1), nn.LeakyReLU(0.1))


class TinyBlock(nn.Module):
    """Half the channels, filtered once and twice, side by side."""

    def __init__(self, channels: int):
        super().__init__()
        self.once = _convolution(channels, channels // 2)
        self.twice = _convolution(channels // 2, channels // 2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        once = self.once(features)
        return torch.cat([self.twice(once), once], dim=1)


class CrossStage(nn.Module):
    """Tiny blocks, with what came in beside what they made of it: twice the channels."""

    def __init__(self, channels: int, count: int, stride: int):
        super().__init__()
        self.entry = _convolution(channels, channels, stride)
        self.blocks = nn.Sequential(*(TinyBlock(channels) for _ in range(count)))
        self.exit = _convolution(channels, channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        entered = self.entry(features)
        return torch.cat([self.exit(self.blocks(entered)), entered], dim=1)


class NanoDet(nn.Module):
    """(B, 3, H, W) standardised BGR -> (B, A) probabilities that a person is there, and (B, A, S, N) logits.

    H and W are multiples of 32. The logits say how far left, top, right and bottom of the box are from the middle of
    the anchor's cell: the expectation over the bins, times the stride.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, 32, 2), nn.MaxPool2d(3, 2, 1))
        counts_strides = ((1, 1), (2, 2), (2, 2), (3, 2))
        self.stages = nn.ModuleList(
            CrossStage(32 << level, count, stride) for level, (count, stride) in enumerate(counts_strides)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(channels, _WIDTH, 1) for channels in (128, 256, 512))
        self.heads = nn.ModuleList(
            nn.Sequential(_convolution(_WIDTH, _WIDTH), nn.Conv2d(_WIDTH, 1 + 4 * BINS, 1)) for _ in STRIDES
        )

    def forward(self, pictures_BCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.stages[0](self.stem(pictures_BCHW))
        levels = []
        for stage, lateral in zip(self.stages[1:], self.laterals, strict=True):
            features = stage(features)
            levels.append(lateral(features))
        found = [head(level).flatten(2) for head, level in zip(self.heads, _aggregated(levels), strict=True)]
        found_BAC = torch.cat(found, dim=2).transpose(1, 2)
        return found_BAC[..., 0].sigmoid(), found_BAC[..., 1:].unflatten(2, (4, BINS))


def _aggregated(levels: list[torch.Tensor]) -> list[torch.Tensor]:
    """From the coarsest scale down to the finest, and up again (Liu et al., PANet, CVPR 2018)."""
    levels = list(levels)
    for i in (1, 0):
        levels[i] = levels[i] + _resized(levels[i + 1], 2.0)
    for i in (1, 2):
        levels[i] = levels[i] + _resized(levels[i - 1], 0.5)
    return levels


def _resized(features: torch.Tensor, factor: float) -> torch.Tensor:
    return interpolate(features, scale_factor=factor, mode="bilinear", align_corners=False)
