"""BlazePose: the person detector and the landmark networks.

Bazarevsky et al., BlazePose: On-device Real-time Body Pose Tracking, CV4ARVR workshop at CVPR 2020, arXiv 2006.10204.
The paper gives the idea and no widths. These are the widths of the networks that Google published with MediaPipe under
Apache-2.0, whose weights vidpose ships; their batch normalisation is folded into the convolutions. All four are one
encoder of inverted residuals (Sandler et al., CVPR 2018) with another end: boxes for the detector, and for the
landmark networks heatmaps, which help training and refine joints, beside a regression that gives them
(the paper's figure 4). What the published files have besides, a mask of the person, is left out.

Shape suffixes: B pictures, C channels, H and W height and width, A = 2254 anchors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import interpolate, max_pool2d, pad, relu6

POINTS = 39
"""The 33 landmarks of the body, mid-hip and top of its circle for the next frame, and four more that nothing uses."""


@dataclass(frozen=True)
class Blocks:
    """Inverted residuals in a row: to so many channels, with kernels so wide, over `expansion` times their input."""

    channels: int
    kernel: int
    count: int
    expansion: int = 6


Scale = tuple[Blocks, ...]
"""What an encoder does at one resolution; its first block halves height and width."""


@dataclass(frozen=True)
class LandmarkConfig:
    """Widths of a landmark network.

    Attributes:
        stem: channels at half the resolution.
        scales: of the encoder, at 1/4, 1/8, 1/16 and 1/32 of the resolution.
        decoder: channels of the heatmaps' decoder.
        second: (channels, blocks) at 1/8, 1/16 and 1/32 of the resolution of a second encoder, over the decoder's
            features; empty: none.
        regression: (channels, blocks, blocks) of the regression, at 1/64 and at 1/128.
    """

    stem: int
    scales: tuple[Scale, Scale, Scale, Scale]
    decoder: int
    second: tuple[tuple[int, int], ...]
    regression: tuple[int, int, int]


LANDMARK_CONFIGS = {
    "lite": LandmarkConfig(
        stem=8,
        scales=(
            (Blocks(16, 3, 1, 4), Blocks(16, 3, 1)),
            (Blocks(24, 5, 2),),
            (Blocks(40, 3, 3), Blocks(56, 5, 3)),
            (Blocks(96, 5, 4),),
        ),
        decoder=32,
        second=(),
        regression=(192, 3, 4),
    ),
    "full": LandmarkConfig(
        stem=16,
        scales=(
            (Blocks(24, 3, 1, 4), Blocks(24, 3, 1)),
            (Blocks(32, 5, 2),),
            (Blocks(64, 3, 3), Blocks(88, 5, 3)),
            (Blocks(144, 5, 4),),
        ),
        decoder=48,
        second=(),
        regression=(288, 5, 6),
    ),
    "heavy": LandmarkConfig(
        stem=24,
        scales=(
            (Blocks(32, 3, 2, 4), Blocks(32, 3, 2)),
            (Blocks(56, 5, 4),),
            (Blocks(112, 3, 6), Blocks(160, 5, 6)),
            (Blocks(272, 5, 8),),
        ),
        decoder=48,
        second=((96, 7), (192, 8), (288, 8)),
        regression=(288, 8, 8),
    ),
}

_DETECTOR_SCALES: tuple[Scale, ...] = (
    (Blocks(24, 3, 1, 4), Blocks(24, 3, 1)),
    (Blocks(40, 5, 2),),
    (Blocks(80, 3, 3), Blocks(112, 5, 3)),
    (Blocks(192, 5, 4),),
)


def _convolution(inside: int, outside: int, kernel: int = 1, stride: int = 1, *, linear: bool = False) -> nn.Sequential:
    layer = nn.Conv2d(inside, outside, kernel, stride, kernel // 2)
    return nn.Sequential(layer) if linear else nn.Sequential(layer, nn.ReLU6())


def _depthwise(channels: int, kernel: int = 3, stride: int = 1, *, linear: bool = False) -> nn.Sequential:
    layer = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels)
    return nn.Sequential(layer) if linear else nn.Sequential(layer, nn.ReLU6())


def _lateral(inside: int, outside: int, *, linear_filter: bool = False) -> nn.Sequential:
    """From an encoder's features to what is added further on."""
    return nn.Sequential(_depthwise(inside, linear=linear_filter), _convolution(inside, outside))


def _enlarged(features: torch.Tensor) -> torch.Tensor:
    return interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)


class InvertedResidual(nn.Module):
    """Wider, filtered channel by channel, narrower again (Sandler et al. 2018, figure 3b)."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = expansion * inside
        self.expand = _convolution(inside, wide)
        self.filter = _depthwise(wide, kernel, stride)
        self.project = _convolution(wide, outside, linear=True)
        self.is_residual = inside == outside and stride == 1

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        narrow = self.project(self.filter(self.expand(features)))
        return features + narrow if self.is_residual else narrow


class BlazeBlock(nn.Module):
    """Filtered channel by channel, mixed, and added to what came in (Bazarevsky et al., BlazeFace, 2019).

    With stride 2, what came in is thinned to the larger of 2 x 2; channels it lacks are zero.
    """

    def __init__(self, inside: int, outside: int, stride: int = 1, *, linear_filter: bool = False):
        super().__init__()
        self.stride, self.missing = stride, outside - inside
        self.filter = _depthwise(inside, stride=stride, linear=linear_filter)
        if stride == 2:
            convolution = self.filter[0]
            assert isinstance(convolution, nn.Conv2d)
            convolution.padding = (0, 0)
        self.mix = _convolution(inside, outside, linear=True)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.stride == 1:
            return relu6(features + self.mix(self.filter(features)))
        # TensorFlow's "same": with an even side and stride 2, the extra row and column lie at the end.
        mixed = self.mix(self.filter(pad(features, (0, 1, 0, 1))))
        thinned = pad(max_pool2d(features, 2), (0, 0, 0, 0, 0, self.missing))
        return relu6(thinned + mixed)


def _row(inside: int, outside: int, count: int) -> nn.Sequential:
    """BlazeBlocks, the first of which halves height and width."""
    return nn.Sequential(BlazeBlock(inside, outside, 2), *(BlazeBlock(outside, outside) for _ in range(count - 1)))


class Encoder(nn.Module):
    """(B, 3, H, W) -> features at 1/4, 1/8, 1/16 and 1/32 of that, the last of them wide.

    Attributes:
        channels: of the four.
    """

    def __init__(self, stem: int, scales: tuple[Scale, ...]):
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, 24, 3, 2), _depthwise(24), _convolution(24, stem, linear=True))
        self.scales = nn.ModuleList()
        channels = [stem]
        for scale in scales:
            blocks: list[nn.Module] = []
            inside = channels[-1]
            for some in scale:
                for _ in range(some.count):
                    stride = 1 if blocks else 2
                    blocks.append(InvertedResidual(inside, some.channels, some.kernel, stride, some.expansion))
                    inside = some.channels
            self.scales.append(nn.Sequential(*blocks))
            channels.append(inside)
        wide = 6 * channels[-1]
        self.widen = nn.Sequential(_convolution(channels[-1], wide), _depthwise(wide))
        self.channels = (*channels[1:-1], wide)

    def forward(self, pictures_BCHW: torch.Tensor) -> list[torch.Tensor]:
        features = self.stem(pictures_BCHW)
        found = []
        for scale in self.scales:
            features = scale(features)
            found.append(features)
        return [*found[:-1], self.widen(features)]


class PoseLandmarks(nn.Module):
    """Landmarks of the person in a square picture.

    (B, 3, 256, 256) RGB, 0 to 1 -> (B, 195): of 39 points x, y and z in pixels of the picture, and the logits that it
    is not hidden and that it is in the picture; (B, 1) the probability that there is a person; (B, 39, 64, 64) logits
    of the points' heatmaps; (B, 117): of 39 points x, y and z in metres, from mid-hip.
    """

    def __init__(self, config: LandmarkConfig):
        super().__init__()
        width, (channels, *counts) = config.decoder, config.regression
        self.encoder = Encoder(config.stem, config.scales)
        self.laterals = nn.ModuleList(_lateral(inside, width) for inside in self.encoder.channels)
        self.heatmaps = nn.Conv2d(width, POINTS, 1)
        self.second, inside = nn.ModuleList(), width
        for outside, count in config.second:
            self.second.append(_row(inside, outside, count))
            inside = outside
        self.skips = nn.ModuleList(
            _lateral(features, outside)
            for features, (outside, _) in zip(self.encoder.channels[1:], config.second[:-1], strict=False)
        )
        self.entry = _lateral(self.encoder.channels[-1], channels)
        self.regression = nn.Sequential(*(_row(channels, channels, count) for count in counts))
        self.landmarks = nn.Conv2d(channels, 5 * POINTS, 2)
        self.world = nn.Conv2d(channels, 3 * POINTS, 2)
        self.presence = nn.Conv2d(channels, 1, 2)

    def forward(self, pictures_BCHW: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = self.encoder(pictures_BCHW)
        *laterals, decoded = (lateral(features) for lateral, features in zip(self.laterals, found, strict=True))
        for lateral in reversed(laterals):
            decoded = _enlarged(decoded) + lateral
        features = self.entry(found[-1])
        if self.second:
            again = decoded
            for row, skip, skipped in zip(self.second, self.skips, found[1:], strict=False):
                again = row(again) + skip(skipped)
            features = self.second[-1](again) + features
        features = self.regression(features)
        return (
            self.landmarks(features).flatten(1),
            self.presence(features).flatten(1).sigmoid(),
            self.heatmaps(decoded),
            self.world(features).flatten(1),
        )


class PersonRegions(nn.Module):
    """The person detector: regions of people in a square picture.

    (B, 3, 224, 224) RGB, -1 to 1 -> (B, A, 12): of each anchor, in pixels of the picture and from its middle, centre
    and size of a box around head and shoulders, then four points x y: mid-hip, the top of the body's circle,
    mid-shoulder, the top of the upper body's circle; and (B, A) logits that a person is there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder(16, _DETECTOR_SCALES)
        _, eighth, sixteenth, wide = self.encoder.channels
        self.laterals = nn.ModuleList(
            _lateral(inside, width, linear_filter=True) for inside, width in ((eighth, 96), (sixteenth, 192))
        )
        self.narrow = nn.ModuleList([_convolution(192, 96), _convolution(wide, 192)])
        self.blocks = nn.ModuleList(
            nn.Sequential(*(BlazeBlock(width, width, linear_filter=True) for _ in range(2))) for width in (96, 192)
        )
        self.heads = nn.ModuleList([_AnchorHead(96 // 4, 2), _AnchorHead(192 // 4, 2), _AnchorHead(wide // 4, 6)])

    def forward(self, pictures_BCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        _, *laterals, features = self.encoder(pictures_BCHW)
        found = [features]
        for level in (1, 0):
            lateral = self.laterals[level](laterals[level])
            features = self.blocks[level](lateral + self.narrow[level](_enlarged(features)))
            found.insert(0, features)
        regions, logits = zip(*(head(some) for head, some in zip(self.heads, found, strict=True)), strict=True)
        return torch.cat(regions, dim=1), torch.cat(logits, dim=1)


class _AnchorHead(nn.Module):
    """(B, 4 C, H, W) -> regions (B, H W anchors, 12) and logits (B, H W anchors): all anchors of a cell together."""

    def __init__(self, channels: int, anchors: int):
        super().__init__()
        self.logits = nn.Sequential(
            _depthwise(channels, stride=2, linear=True), _convolution(channels, anchors, linear=True)
        )
        self.regions = nn.Sequential(
            _depthwise(channels, stride=2, linear=True), _convolution(channels, 12 * anchors, linear=True)
        )

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        spread = _depth_to_space(features)
        regions, logits = (head(spread).permute(0, 2, 3, 1) for head in (self.regions, self.logits))
        return regions.flatten(1).unflatten(1, (-1, 12)), logits.flatten(1)


def _depth_to_space(features: torch.Tensor) -> torch.Tensor:
    """(B, 4 C, H, W) -> (B, C, 2 H, 2 W), a quarter of the channels for each pixel of 2 x 2, as TensorFlow has it."""
    batch, channels, height, width = features.shape
    parts = features.view(batch, 2, 2, channels // 4, height, width)
    return parts.permute(0, 3, 4, 1, 5, 2).reshape(batch, channels // 4, 2 * height, 2 * width)
