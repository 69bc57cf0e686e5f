"""Stacked Hourglass Networks for Human Pose Estimation.

Newell, Yang, Deng, ECCV 2016. A stem takes the picture to a quarter of its size. An hourglass (section 3.1, Fig. 3)
halves the resolution again and again, keeps a side branch at each, and on the way back adds what comes up by nearest
upsampling. Several stand in a row, each with a prediction of its own; the features and the prediction, brought to
their width again, are added to the input of the next (section 3.3, Fig. 4).

There are two networks of this kind with public weights:

- `hourglass`, mmpose's, which is that of Law and Deng, CornerNet, ECCV 2018: plain residual blocks, strides in place of
  pooling, five levels of growing width; between the stacks only the features are passed on. One stack, "hourglass 52",
  has 94.8 M parameters, two are "hourglass 104".
- `hourglass-newell`, the authors' own in PyTorch (princeton-vl/pytorch_stacked_hourglass): pre-activated bottlenecks,
  max pooling, four levels of width 256. Eight stacks, as in the paper; also published with two.

Parameters have those names, `hourglass`' also mmpose 0.x'. Some in the checkpoints are not in use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import interpolate, max_pool2d

from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Counts, Depth, Depths
from vidpose.keypoints.keypoint_network import KeypointNetwork, NetworkConfig, Processing, layout_of
from vidpose.keypoints.residual import BasicBlock, heatmap_layer, norm_conv, residual_block, residual_layer


class ConvNorm(nn.Module):
    """A convolution and batch normalisation under mmpose's names."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1):
        super().__init__()
        self.conv, self.bn = norm_conv(inputs, outputs, size, stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(features))


class ConvNormReLU(ConvNorm):
    """And a ReLU."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return super().forward(features).relu()


class HourglassModule(nn.Module):
    """An hourglass of residual blocks, inside which there is the next smaller one."""

    def __init__(self, widths: Sequence[int], blocks: Sequence[int]):
        super().__init__()
        outer, inner, count = widths[0], widths[1], blocks[0]
        self.up1 = residual_layer(BasicBlock, outer, outer, count)
        self.low1 = residual_layer(BasicBlock, outer, inner, count, stride=2)
        self.low2: nn.Module
        if len(widths) > 2:
            self.low2 = HourglassModule(widths[1:], blocks[1:])
        else:
            self.low2 = residual_layer(BasicBlock, inner, inner, blocks[1])
        narrowing = residual_block(BasicBlock, inner, outer)
        self.low3 = nn.Sequential(*(residual_block(BasicBlock, inner, inner) for _ in range(count - 1)), narrowing)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.up1(features) + interpolate(self.low3(self.low2(self.low1(features))), scale_factor=2.0)


class HourglassBackbone(nn.Module):
    """(B, 3, H, W) -> (B, features, H / 4, W / 4) of each stack."""

    def __init__(self, config: Hourglass.Config):
        super().__init__()
        width, features, between = config.widths[0], config.features, range(config.stacks - 1)
        self.stem = nn.Sequential(
            ConvNormReLU(3, config.stem_width, 7, stride=2),
            residual_layer(BasicBlock, config.stem_width, width, 1, stride=2),
        )
        self.hourglass_modules = nn.ModuleList(
            HourglassModule(config.widths, config.blocks) for _ in range(config.stacks)
        )
        # mmpose has one even where there is nothing for it to stand between.
        self.inters = residual_layer(BasicBlock, width, width, max(config.stacks - 1, 1))
        self.inters.requires_grad_(config.stacks > 1)
        self.conv1x1s = nn.ModuleList(ConvNorm(width, width, 1) for _ in between)
        self.out_convs = nn.ModuleList(ConvNormReLU(width, features, 3) for _ in range(config.stacks))
        self.remap_convs = nn.ModuleList(ConvNorm(features, width, 1) for _ in between)

    def forward(self, crops_BCHW: torch.Tensor) -> list[torch.Tensor]:
        passed = self.stem(crops_BCHW)
        outputs = [self.out_convs[0](self.hourglass_modules[0](passed))]
        for stack in range(1, len(self.hourglass_modules)):
            merged = self.conv1x1s[stack - 1](passed) + self.remap_convs[stack - 1](outputs[-1])
            passed = self.inters[stack - 1](merged.relu())
            outputs.append(self.out_convs[stack](self.hourglass_modules[stack](passed)))
        return outputs


class HourglassHead(nn.Module):
    """Features of each stack -> heatmaps of each."""

    def __init__(self, config: Hourglass.Config, joints: int):
        super().__init__()
        self.multi_final_layers = nn.ModuleList(heatmap_layer(config.features, joints) for _ in range(config.stacks))

    def forward(self, features: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return tuple(layer(feature) for layer, feature in zip(self.multi_final_layers, features, strict=True))


class Hourglass(KeypointNetwork):
    """mmpose's hourglass."""

    name = "hourglass"

    @dataclass(frozen=True)
    class Config(NetworkConfig):
        """How many there are, and how wide.

        Attributes:
            stacks: hourglasses in a row.
            widths, blocks: at each resolution, from the finest: channels, and residual blocks in a layer.
            stem_width: of the first convolution.
            features: width of what each stack predicts from.
        """

        stacks: Depth = 1
        widths: Counts = (256, 256, 384, 384, 384, 512)
        blocks: Depths = (2, 2, 2, 2, 2, 4)
        stem_width: Count = 128
        features: Count = 256

    processing = Processing(input_size=(256, 256))
    # In eights: with fewer channels, gradients in torch's kernels for AVX2 write beyond their memory.
    tiny = {"stacks": 2, "widths": (8, 8, 16), "blocks": (1, 1, 2), "stem_width": 8, "features": 8}  # noqa: RUF012

    def __init__(self, config: Config):
        super().__init__(config)
        self.multiple = 4 * 2 ** (len(config.widths) - 1)
        self.backbone = HourglassBackbone(config)
        self.head = HourglassHead(config, len(self.layout))

    def predictions(self, crops_BCHW: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.head(self.backbone(crops_BCHW))

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        level, widths, blocks = "backbone.hourglass_modules.0", [], []
        while f"{level}.up1.0.conv1.weight" in tensors:
            widths.append(len(tensors[f"{level}.up1.0.conv1.weight"]))
            blocks.append(count_blocks(tensors, f"{level}.up1"))
            level += ".low2"
        return {
            "layout": layout_of(tensors["head.multi_final_layers.0.weight"]),
            "stacks": count_blocks(tensors, "backbone.hourglass_modules"),
            "widths": (*widths, len(tensors[f"{level}.0.conv1.weight"])),
            "blocks": (*blocks, count_blocks(tensors, level)),
            "stem_width": len(tensors["backbone.stem.0.conv.weight"]),
            "features": len(tensors["backbone.out_convs.0.conv.weight"]),
        }


class Convolution(nn.Module):
    """A convolution, alone or with batch normalisation and ReLU, under the authors' names."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, *, normed: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2)
        self.bn = nn.BatchNorm2d(outputs) if normed else None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = self.conv(features)
        return features if self.bn is None else self.bn(features).relu()


class Residual(nn.Module):
    """A pre-activated bottleneck (Fig. 4, left)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        middle = outputs // 2
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), Convolution(inputs, middle, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(middle), Convolution(middle, middle, 3)
        self.bn3, self.conv3 = nn.BatchNorm2d(middle), Convolution(middle, outputs, 1)
        self.changes_width = inputs != outputs
        self.skip_layer = Convolution(inputs, outputs, 1).requires_grad_(self.changes_width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        inner = self.conv1(self.bn1(features).relu())
        inner = self.conv2(self.bn2(inner).relu())
        inner = self.conv3(self.bn3(inner).relu())
        return inner + (self.skip_layer(features) if self.changes_width else features)


class NewellModule(nn.Module):
    """An hourglass of bottlenecks, inside which there is the next smaller one (Fig. 3)."""

    def __init__(self, levels: int, width: int):
        super().__init__()
        self.up1, self.low1 = Residual(width, width), Residual(width, width)
        self.low2 = NewellModule(levels - 1, width) if levels > 1 else Residual(width, width)
        self.low3 = Residual(width, width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        low = self.low3(self.low2(self.low1(max_pool2d(features, 2))))
        return self.up1(features) + interpolate(low, scale_factor=2.0)


class Merge(nn.Module):
    """A 1x1 convolution under the authors' names."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = Convolution(inputs, outputs, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.conv(features)


class NewellHourglass(KeypointNetwork):
    """The authors' hourglass."""

    name = "hourglass-newell"

    @dataclass(frozen=True)
    class Config(NetworkConfig):
        """`stacks` of hourglasses in a row, `levels` of halving in each, and `width`."""

        layout: str = "mpii16"
        stacks: Depth = 8
        levels: Depth = 4
        width: Count = 256

    processing = Processing(input_size=(256, 256), mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0), alignment="centre")
    tiny = {"stacks": 2, "levels": 2, "width": 16}  # noqa: RUF012

    def __init__(self, config: Config):
        super().__init__(config)
        self.multiple = 4 * 2**config.levels
        width, joints, between = config.width, len(self.layout), range(config.stacks - 1)
        self.pre = nn.Sequential(
            Convolution(3, width // 4, 7, stride=2, normed=True),
            Residual(width // 4, width // 2),
            nn.MaxPool2d(2),
            Residual(width // 2, width // 2),
            Residual(width // 2, width),
        )
        self.hgs = nn.ModuleList(nn.Sequential(NewellModule(config.levels, width)) for _ in range(config.stacks))
        self.features = nn.ModuleList(
            nn.Sequential(Residual(width, width), Convolution(width, width, 1, normed=True))
            for _ in range(config.stacks)
        )
        self.outs = nn.ModuleList(Convolution(width, joints, 1) for _ in range(config.stacks))
        self.merge_features = nn.ModuleList(Merge(width, width) for _ in between)
        self.merge_preds = nn.ModuleList(Merge(joints, width) for _ in between)

    def predictions(self, crops_BCHW: torch.Tensor) -> tuple[torch.Tensor, ...]:
        passed = self.pre(crops_BCHW)
        heatmaps: list[torch.Tensor] = []
        for stack, hourglass in enumerate(self.hgs):
            features = self.features[stack](hourglass(passed))
            heatmaps.append(self.outs[stack](features))
            if stack < len(self.merge_preds):
                passed = passed + self.merge_preds[stack](heatmaps[-1]) + self.merge_features[stack](features)
        return tuple(heatmaps)

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        # hgs.0.0.low2. ... low2.up1.conv1.conv.weight, once in each level.
        levels = sum(key.startswith("hgs.0.0.") and key.endswith(".up1.bn1.weight") for key in tensors)
        return {
            "layout": layout_of(tensors["outs.0.conv.weight"]),
            "stacks": count_blocks(tensors, "hgs"),
            "levels": levels,
            "width": len(tensors["features.0.1.conv.weight"]),
        }

    @classmethod
    def from_authors(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        # Their trainer holds the network as `model`, and that as `module`.
        return {key.removeprefix("model.").removeprefix("module."): tensor for key, tensor in tensors.items()}
