"""Attention Mechanism Exploits Temporal Contexts: Real-time 3D Human Pose Reconstruction.

Liu, Shen, Wang, Chen, Cheung, Asari, CVPR 2020. VideoPose3D's strided convolutions with two kinds of attention: one
weighs frames by how much their pose is like the centre frame's (temporal attention), the other mixes convolutions of
dilation 1, 2 and 3 (kernel attention). Convolutions are depthwise or grouped. There are more of them, too: from each
level, thinned-out frames leave out one or more of the next (multi-scale dilated convolutions). T = 243, width 1024; the
released network has 14.5 M parameters.

As in the released network, which is for T = 243 alone: a pose is compared after the root is taken off; the residual of
a level is what it begins with, before attention and the frames that arrive from earlier levels; activations are Mish.
Networks of other T follow the same rule.

Shape suffixes: B batch, T frames, J joints, C channels, D width, M the kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cosine_similarity, mish, pad

from vidpose.common.errors import UsageError
from vidpose.common.settings import Count, Probability
from vidpose.lifters.lifter import Lifter, LifterConfig, input_shape, layouts_of

_STEP = 3
"""Frames that become one at every level."""


def thinned(features_BDT: torch.Tensor, levels: int) -> torch.Tensor:
    """The middle one of every 3^levels frames: (B, D, T) -> (B, D, T / 3^levels)."""
    step = _STEP**levels
    return features_BDT[:, :, step // 2 :: step]


class SeparableConvolution(nn.Sequential):
    """A depthwise convolution over three frames, then one over channels: (B, C, T) -> (B, D, T / 3)."""

    def __init__(self, channels: int, width: int):
        super().__init__(
            nn.Conv1d(channels, channels, _STEP, stride=_STEP, groups=channels, bias=False),
            nn.BatchNorm1d(channels),
            nn.Conv1d(channels, width, kernel_size=1, bias=False),
            nn.BatchNorm1d(width),
        )


class KernelAttention(nn.Module):
    """Convolutions of several dilations, mixed channel by channel: (B, D, T) -> (B, D, T / 3)."""

    kernels = 3
    groups = 8

    def __init__(self, width: int):
        super().__init__()
        hidden = max(1, width // self.groups)
        self.convs = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, width, _STEP, stride=_STEP, dilation=dilation, groups=width, bias=False),
                nn.BatchNorm1d(width),
                nn.Conv1d(width, width, kernel_size=1, groups=self.groups, bias=False),
                nn.BatchNorm1d(width),
                nn.Mish(),
            )
            for dilation in range(1, self.kernels + 1)
        )
        self.squeeze = nn.Linear(width, hidden)
        self.excite = nn.ModuleList(nn.Linear(hidden, width) for _ in range(self.kernels))

    def forward(self, features_BDT: torch.Tensor) -> torch.Tensor:
        answers_BMDT = torch.stack(
            [conv(pad(features_BDT, (more, more), "replicate")) for more, conv in enumerate(self.convs)], dim=1
        )
        squeezed = self.squeeze(answers_BMDT.sum(dim=1).mean(dim=-1))
        share_BMD = torch.stack([excite(squeezed) for excite in self.excite], dim=1).softmax(dim=1)
        return (answers_BMDT * share_BMD[..., None]).sum(dim=1)


class PyramidLevel(nn.Module):
    """Three frames to one, by temporal attention, kernel attention and a convolution: (B, D, T) -> (B, D, T / 3)."""

    def __init__(self, width: int, window: int, frames: int, dropout: float):
        super().__init__()
        self.likeness = nn.Linear(window, frames)
        self.likeness_norm = nn.BatchNorm1d(frames)
        self.kernels = KernelAttention(width)
        self.conv = nn.Conv1d(width, width, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.drop = nn.Dropout(dropout)

    def weights(self, cosine_BT: torch.Tensor) -> torch.Tensor:
        """(B, window) likenesses -> (B, 1, T) within (0, 1): temporal attention."""
        return self.likeness_norm(self.likeness(cosine_BT)).sigmoid()[:, None]

    def forward(self, weighted_BDT: torch.Tensor, residual_BDT: torch.Tensor) -> torch.Tensor:
        inner_BDT = self.drop(self.kernels(weighted_BDT))
        return residual_BDT + self.drop(mish(self.norm(self.conv(inner_BDT))))


class LevelSkip(nn.Module):
    """What frames that leave out levels pass instead: (B, D, T) -> (B, D, T / 3)."""

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.separable = SeparableConvolution(width, width)
        self.conv = nn.Conv1d(width, width, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, weighted_BDT: torch.Tensor, residual_BDT: torch.Tensor) -> torch.Tensor:
        inner_BDT = self.drop(mish(self.separable(weighted_BDT)))
        return residual_BDT + self.drop(mish(self.norm(self.conv(inner_BDT))))


class AttentionTCN(Lifter):
    """A multi-scale pyramid of levels over a window: (B, T, J, C) -> (B, 1, J, 3)."""

    name = "attention-tcn"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """`frames` is a power of 3, at least 9; `width`, a multiple of 8; `dropout`."""

        frames: Count = 243
        channels: Count = 2
        normalisation: str = "screen"
        width: Count = 1024
        dropout: Probability = 0.2

    config: Config
    separate_input = True
    predicts = "centre"
    tiny = {"frames": 9, "width": 16}  # noqa: RUF012
    variants = {"27-frames": {"frames": 27}, "81-frames": {"frames": 81}}  # noqa: RUF012
    authors_keys = (
        ("expand_conv", "expand"),
        *(
            (f"{theirs}.{2 * index + odd}.", f"{ours}.{index}.{part}.")
            for index in range(8)
            for theirs, ours, parts in (
                ("layers_conv", "levels", ("kernels", "conv")),
                ("dilation_conv", "skips", ("separable", "conv")),
            )
            for odd, part in enumerate(parts)
        ),
        *((f"layers_bn.{index}.", f"levels.{index}.norm.") for index in range(8)),
        *((f"dilation_bn.{index}.", f"skips.{index}.norm.") for index in range(8)),
        *((f"layers_tem_att.{index}.", f"levels.{index}.likeness.") for index in range(8)),
        *((f"layers_tem_bn.{index}.", f"levels.{index}.likeness_norm.") for index in range(8)),
        ("DW_conv", "0"),
        ("DW_bn", "1"),
        ("PW_conv", "2"),
        ("PW_bn", "3"),
        (".fc.", ".squeeze."),
        (".fcs.", ".excite."),
    )

    def __init__(self, config: Config):
        super().__init__(config)
        self.depth = 0
        while _STEP ** (self.depth + 1) < config.frames:
            self.depth += 1
        if _STEP ** (self.depth + 1) != config.frames or self.depth < 1 or config.width % KernelAttention.groups:
            raise UsageError(
                f"attention-tcn: a window of {config.frames} frames and width {config.width}: the one must be 9, 27, "
                f"81 or another power of 3, the other a multiple of {KernelAttention.groups}"
            )
        width, coordinates = config.width, len(self.input_layout) * config.channels
        # The first sees all frames, the others thinned-out ones, which leave out a level each.
        self.expand = nn.ModuleList(SeparableConvolution(coordinates, width) for _ in range(self.depth))
        self.levels = nn.ModuleList(
            PyramidLevel(width, config.frames, config.frames // _STEP ** (level + 1), config.dropout)
            for level in range(self.depth)
        )
        self.skips = nn.ModuleList(
            LevelSkip(width, config.dropout) for level in range(self.depth) for _ in self.left_out(level)
        )
        self.drop = nn.Dropout(config.dropout)
        self.shrink = nn.Conv1d(width, len(self.layout) * 3, kernel_size=1)

    def left_out(self, level: int) -> range:
        """How many of the levels after this one its thinned-out frames leave out: one path each."""
        return range(1, self.depth - 1 - level)

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return self.config.frames, self.config.frames

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        coordinates_BNT = keypoints_BTJC.flatten(2).transpose(1, 2)
        features_BDT, *later = (
            self.drop(mish(expand(thinned(coordinates_BNT, left_out)))) for left_out, expand in enumerate(self.expand)
        )
        arriving = [[], *([features] for features in later)]
        cosine_BT, skips = self.likeness(keypoints_BTJC), iter(self.skips)
        for number, level in enumerate(self.levels):
            assert isinstance(level, PyramidLevel)
            weights_B1T, residual_BDT = level.weights(cosine_BT), thinned(features_BDT, 1)
            for left_out in self.left_out(number):
                frames_BDT = thinned(features_BDT * weights_B1T, left_out)
                arriving[number + 1 + left_out].append(next(skips)(frames_BDT, thinned(residual_BDT, left_out)))
            features_BDT = level(sum(arriving[number], features_BDT) * weights_B1T, residual_BDT)
        return self.shrink(features_BDT).transpose(1, 2).unflatten(-1, (-1, 3))

    def likeness(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        """(B, T): the cosine between each frame's pose and the centre frame's, both relative to the root."""
        root = self.input_layout.parents.index(-1)
        poses_BTN = (keypoints_BTJC - keypoints_BTJC[:, :, root : root + 1]).flatten(2)
        centre = poses_BTN.shape[1] // 2
        return cosine_similarity(poses_BTN[:, centre : centre + 1], poses_BTN, dim=-1, eps=1e-6)

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        coordinates, width = len(tensors["expand.0.0.weight"]), len(tensors["expand.0.2.weight"])
        joints = len(tensors["shrink.bias"]) // 3
        input_joints, channels = input_shape(coordinates, joints)
        return {
            **layouts_of(joints, input_joints),
            "frames": tensors["levels.0.likeness.weight"].shape[1],
            "channels": channels,
            "width": width,
        }
