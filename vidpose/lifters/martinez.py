"""A simple yet effective baseline for 3d human pose estimation.

Martinez, Hossain, Romero, Little, ICCV 2017. Frame by frame: a linear layer to width 1024, two residual blocks of two
linear layers with batch normalisation, ReLU and dropout 0.5 each, a linear layer to the output (Fig. 1, section 3.2).
4.3 M parameters. Its input and output are standardised by the mean and standard deviation of the training set (section
3.3), and it knows 16 joints: all but the neck/nose as input, all but the root as output.

The filtered ones are Baseline 1 and 2 of Hossain and Little, ECCV 2018, section 4: a median or mean over five of its
frames.

Shape suffixes: B batch, T frames, J joints, C channels, I = 16 C or 16 * 3 numbers, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vidpose.body.skeletons import get_skeleton
from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Depth, Probability
from vidpose.lifters.lifter import Lifter, LifterConfig, layouts_of


class Standardised(Lifter):
    """A lifter that works between standardised coordinates of 16 joints, as Martinez et al. introduced (section 3.3).

    Takes (B, T, 17, C) and gives (B, T, 17, 3) metres like every lifter; the root, which the network does not
    answer for, is zero. Takes also the network's own (B, T, 16, C), already standardised, and then gives its own
    (B, T, 16, 3): what the authors' files hold.

    HumanEva's layout has no nose; there the thorax, the nearest to it, is what the network does not see.

    A subclass defines `regress`: (B, T, 16 C) -> (B, T, 48).
    """

    layouts = ("h36m17", "humaneva15")

    input_mean: torch.Tensor
    input_std: torch.Tensor
    output_mean: torch.Tensor
    output_std: torch.Tensor

    def __init__(self, config: LifterConfig):
        super().__init__(config)
        for name, statistic in self.unit_statistics(config.channels, config.layout).items():
            self.register_buffer(name, statistic)
        unseen = self.layout.index("nose" if "nose" in self.layout.joints else "thorax")
        self.input_joints = [joint for joint in range(len(self.layout)) if joint != unseen]

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return 1, None

    @property
    def joint_counts(self) -> tuple[int, ...]:
        return len(self.layout), len(self.layout) - 1

    @classmethod
    def unit_statistics(cls, channels: int, layout: str = "h36m17") -> dict[str, torch.Tensor]:
        """Means of 0 and deviations of 1: all that authors' files, which do not hold any, allow."""
        joints = len(get_skeleton(layout))
        return {
            "input_mean": torch.zeros(joints, channels),
            "input_std": torch.ones(joints, channels),
            "output_mean": torch.zeros(joints, 3),
            "output_std": torch.ones(joints, 3),
        }

    @torch.no_grad()
    def standardise(self, keypoints_NJC: torch.Tensor, joints_NJ3: torch.Tensor) -> None:
        """Take means and deviations from training data: normalised keypoints, and joints relative to the root."""
        for kind, data in (("input", keypoints_NJC), ("output", joints_NJ3)):
            std, mean = torch.std_mean(data, dim=0, correction=0)
            getattr(self, f"{kind}_mean").copy_(mean)
            # A coordinate that never moves, as the root's, has nothing to be divided by.
            getattr(self, f"{kind}_std").copy_(torch.where(std > 1e-8, std, 1.0))

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        if keypoints_BTJC.shape[2] == len(self.input_joints):
            return self.regress(keypoints_BTJC.flatten(2)).unflatten(-1, (-1, 3))
        standard_BTJC = ((keypoints_BTJC - self.input_mean) / self.input_std)[:, :, self.input_joints]
        answer_BTJD = self.regress(standard_BTJC.flatten(2)).unflatten(-1, (-1, 3))
        joints_BTJD = answer_BTJD * self.output_std[1:] + self.output_mean[1:]
        return nn.functional.pad(joints_BTJD, (0, 0, 1, 0))

    def regress(self, keypoints_BTI: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class ResidualBlock(nn.Module):
    """Two linear layers, each with batch normalisation, ReLU and dropout, around which the input is added (Fig. 1)."""

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.linear1, self.norm1 = nn.Linear(width, width), nn.BatchNorm1d(width)
        self.linear2, self.norm2 = nn.Linear(width, width), nn.BatchNorm1d(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, features_ND: torch.Tensor) -> torch.Tensor:
        inner_ND = self.drop(self.norm1(self.linear1(features_ND)).relu())
        return features_ND + self.drop(self.norm2(self.linear2(inner_ND)).relu())


class Martinez(Standardised):
    """Frame by frame (section 3.2)."""

    name = "martinez"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """`width` of its layers, `depth` residual blocks, `dropout`."""

        frames: Count = 1
        channels: Count = 2
        normalisation: str = "screen"
        width: Count = 1024
        depth: Depth = 2
        dropout: Probability = 0.5

    tiny = {"width": 16}  # noqa: RUF012
    authors_keys = (("linear_stages.", "blocks."), ("batch_norm", "norm"), ("w1.", "linear1."), ("w2.", "linear2."))

    def __init__(self, config: Config):
        super().__init__(config)
        self.linear1 = nn.Linear(len(self.input_joints) * config.channels, config.width)
        self.norm1 = nn.BatchNorm1d(config.width)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.Sequential(*(ResidualBlock(config.width, config.dropout) for _ in range(config.depth)))
        self.linear2 = nn.Linear(config.width, len(self.input_joints) * 3)

    def regress(self, keypoints_BTI: torch.Tensor) -> torch.Tensor:
        features_ND = self.drop(self.norm1(self.linear1(keypoints_BTI.flatten(0, 1))).relu())
        return self.linear2(self.blocks(features_ND)).view(*keypoints_BTI.shape[:2], -1)

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        width, inputs = tensors["linear1.weight"].shape
        joints = tensors["linear2.weight"].shape[0] // 3
        return {
            **layouts_of(joints + 1),
            "channels": inputs // joints,
            "width": width,
            "depth": count_blocks(tensors, "blocks"),
        }

    @classmethod
    def from_authors(cls, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        settings = {"layout": "h36m17"} | cls.infer_config(tensors)
        return tensors | cls.unit_statistics(settings["channels"], settings["layout"])


class Filtered(Martinez):
    """Martinez et al., then a filter over a sliding window of five frames: (B, T, J, C) -> (B, T - 4, J, 3)."""

    @dataclass(frozen=True)
    class Config(Martinez.Config):
        """As Martinez'; `frames` is the length of the filter."""

        frames: Count = 5

    convolutional = True
    predicts = "centre"

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return self.config.frames, None

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        return self.reduce(super().forward(keypoints_BTJC).unfold(1, self.config.frames, 1))

    def reduce(self, windows_BTJDW: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class MedianFiltered(Filtered):
    """Baseline 1."""

    name = "martinez-median"

    def reduce(self, windows_BTJDW: torch.Tensor) -> torch.Tensor:
        # Not by median(), which ONNX does not know.
        return windows_BTJDW.sort(dim=-1).values[..., self.config.frames // 2]


class MeanFiltered(Filtered):
    """Baseline 2."""

    name = "martinez-mean"

    def reduce(self, windows_BTJDW: torch.Tensor) -> torch.Tensor:
        return windows_BTJDW.mean(dim=-1)
