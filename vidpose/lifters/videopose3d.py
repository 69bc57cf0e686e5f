"""3D human pose estimation in video with temporal convolutions and semi-supervised training (VideoPose3D).

Pavllo, Feichtenhofer, Grangier, Auli, CVPR 2019. Temporal convolutions over the coordinates of all joints (section 3,
Fig. 2): a first one of width 3, then four residual blocks of a dilated convolution of width 3 and one of width 1, each
with batch normalisation, ReLU and dropout 0.25. Dilations are the powers of 3, so that 243 frames decide one. Width
1024, 16.95 M parameters. There is no padding: T frames give T - 242.

A window that gives one frame only is computed by strided convolutions in the place of dilated ones, which leave out
what that frame does not depend on: the same numbers at a fifteenth of the cost (the paper's appendix). The authors
train so too, which batch normalisation notices: its statistics are of the frames that are left.

The causal variant (section 3, for use in real time) answers for the last frame of the window. Only where its residuals
are taken from differs.

Shape suffixes: B batch, T frames, J joints, C channels, D width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import conv1d, linear

from vidpose.common.errors import UsageError
from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Counts, Probability
from vidpose.lifters.lifter import Lifter, LifterConfig, Predicts, input_shape, layouts_of


def check_window(factors: Sequence[int], frames: int) -> None:
    """Raises UsageError unless convolutions that shrink a window by `factors` leave one of `frames`, with a centre."""
    if math.prod(factors) != frames or frames % 2 == 0:
        raise UsageError(
            f"a window of {frames} frames and convolutions that shrink {' x '.join(map(str, factors))} frames to one: "
            "these must agree, and be odd"
        )


class VideoPose3D(Lifter):
    """The temporal dilated convolutional model (section 3): (B, T, J, C) -> (B, T - frames + 1, J, 3)."""

    name = "videopose3d"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """`filter_widths` of the convolutions over time, whose product is `frames`; `width`, `dropout`, `causal`."""

        frames: Count = 243
        channels: Count = 2
        normalisation: str = "screen"
        filter_widths: Counts = (3, 3, 3, 3, 3)
        width: Count = 1024
        dropout: Probability = 0.25
        causal: bool = False

    config: Config
    separate_input = True
    convolutional = True
    predicts: Predicts = "centre"
    tiny = {"frames": 9, "filter_widths": (3, 3), "width": 16}  # noqa: RUF012
    variants = {  # noqa: RUF012
        "27-frames": {"frames": 27, "filter_widths": (3, 3, 3)},
        "81-frames": {"frames": 81, "filter_widths": (3, 3, 3, 3)},
        "causal": {"causal": True},
    }
    other_keys = (
        ("backbone.", ""),
        ("head.conv", "shrink"),
        ("expand_conv.conv", "expand_conv"),
        ("expand_conv.bn", "expand_bn"),
        *(
            (f"tcn_blocks.{block}.conv{part + 1}.0.{theirs}", f"{ours}.{2 * block + part}")
            for block in range(8)
            for part in range(2)
            for theirs, ours in (("conv", "layers_conv"), ("bn", "layers_bn"))
        ),
    )
    authors_keys = (("layers_conv", "convs"), ("layers_bn", "norms"), ("expand_bn", "expand_norm"))

    def __init__(self, config: Config):
        super().__init__(config)
        check_window(config.filter_widths, config.frames)
        if config.causal:
            self.predicts = "last"
        width = config.width
        first, *others = config.filter_widths
        self.expand_conv = nn.Conv1d(len(self.input_layout) * config.channels, width, first, bias=False)
        self.expand_norm = nn.BatchNorm1d(width)
        # In turn over time and over channels, two a residual block.
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, kernel_size, bias=False)
            for filter_width in others
            for kernel_size in (filter_width, 1)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in self.convs)
        self.drop = nn.Dropout(config.dropout)
        self.shrink = nn.Conv1d(width, len(self.layout) * 3, kernel_size=1)

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return self.config.frames, None

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        coordinates_BTC = keypoints_BTJC.flatten(2)
        if keypoints_BTJC.shape[1] == self.config.frames:
            return self._of_one_window(coordinates_BTC).unflatten(-1, (-1, 3))
        features_BDT = conv1d(coordinates_BTC.transpose(1, 2), self.expand_conv.weight)
        features_BDT = self.drop(self.expand_norm(features_BDT).relu())
        reach, *others = self.config.filter_widths
        for index, filter_width in enumerate(others):
            over_time, over_channels = self._convolutions(index)
            inner_BDT = conv1d(features_BDT, over_time.weight, dilation=reach)
            inner_BDT = self.drop(self.norms[2 * index](inner_BDT).relu())
            inner_BDT = self.drop(self.norms[2 * index + 1](over_channels(inner_BDT)).relu())
            answered = reach * self._answered(filter_width)
            features_BDT = features_BDT[:, :, answered:][:, :, : inner_BDT.shape[2]] + inner_BDT
            reach *= filter_width
        return self.shrink(features_BDT).transpose(1, 2).unflatten(-1, (-1, 3))

    def _of_one_window(self, coordinates_BTC: torch.Tensor) -> torch.Tensor:
        """(B, 1, J * 3): filters that do not overlap are products of matrices, several times faster on a CPU."""
        first, *others = self.config.filter_widths
        features_BTD = _strided(coordinates_BTC, self.expand_conv.weight, first)
        features_BTD = self.drop(_normed(self.expand_norm, features_BTD).relu())
        for index, filter_width in enumerate(others):
            over_time, over_channels = self._convolutions(index)
            inner_BTD = _strided(features_BTD, over_time.weight, filter_width)
            inner_BTD = self.drop(_normed(self.norms[2 * index], inner_BTD).relu())
            inner_BTD = _strided(inner_BTD, over_channels.weight, 1)
            inner_BTD = self.drop(_normed(self.norms[2 * index + 1], inner_BTD).relu())
            features_BTD = features_BTD[:, self._answered(filter_width) :: filter_width] + inner_BTD
        return linear(features_BTD, self.shrink.weight[..., 0], self.shrink.bias)

    def _convolutions(self, index: int) -> tuple[nn.Conv1d, nn.Conv1d]:
        """Of a residual block, the one over time and the one over channels."""
        over_time, over_channels = self.convs[2 * index : 2 * index + 2]
        assert isinstance(over_time, nn.Conv1d)
        assert isinstance(over_channels, nn.Conv1d)
        return over_time, over_channels

    def _answered(self, filter_width: int) -> int:
        """Of the frames that a filter sees, the one it answers for: the last or the middle one."""
        return filter_width - 1 if self.config.causal else filter_width // 2

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        width, coordinates, first = tensors["expand_conv.weight"].shape
        joints = tensors["shrink.weight"].shape[0] // 3
        input_joints, channels = input_shape(coordinates, joints)
        if (input_joints, joints) == (17, 16):
            raise UsageError(
                "of 17 joints in and 16 out, as mmpose's SimpleBaseline3D, whose answers are to be multiplied by "
                "numbers that its file does not hold; it cannot be imported"
            )
        depth = count_blocks(tensors, "convs") // 2
        filter_widths = (first, *(tensors[f"convs.{2 * index}.weight"].shape[2] for index in range(depth)))
        return {
            **layouts_of(joints, input_joints),
            "frames": math.prod(filter_widths),
            "channels": channels,
            "filter_widths": filter_widths,
            "width": width,
        }


def _strided(features_BTC: torch.Tensor, weight_DCK: torch.Tensor, width: int) -> torch.Tensor:
    """(B, T / width, D): a convolution over time whose stride is its width."""
    windows = features_BTC.unflatten(1, (-1, width)).flatten(2)
    return linear(windows, weight_DCK.transpose(1, 2).flatten(1))


def _normed(norm: nn.Module, features_BTD: torch.Tensor) -> torch.Tensor:
    return norm(features_BTD.flatten(0, 1)).view_as(features_BTD)
