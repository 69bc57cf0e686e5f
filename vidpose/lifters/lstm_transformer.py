"""The single-branch LSTM + Transformer hybrid: a two-layer LSTM for local motion, then self-attention over the clip.

As described in the paper on hybrid LSTM-Transformer networks for 3D human pose estimation that reports 49.51 mm on
Human3.6M for it (Table 2), section 3.1 and the right panel of Fig. 1: two-layer LSTM -> normalisation -> positional
encoding -> Transformer encoder with eight heads -> Layer Normalization -> a regression module of convolutional layers
and a linear projection. T = 81 (Table 1).

The paper leaves open the widths, the number of encoder layers, the kind of positional encoding (section 3 allows
sinusoids or learned vectors) and the shape of the regression module. We take sinusoids, which need no fixed T, a
pre-norm encoder, and one residual convolution over three frames.

Shape suffixes: B batch, T frames, J joints, C channels, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from vidpose.lifters.base import Lifter, LifterConfig, register


def sinusoids(length: int, width: int, device: torch.device) -> torch.Tensor:
    """(length, width) sine and cosine positional encoding of "Attention is all you need", section 3.5."""
    position_T1 = torch.arange(length, device=device, dtype=torch.float32)[:, None]
    rate_D = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000.0) / width))
    return torch.stack([(position_T1 * rate_D).sin(), (position_T1 * rate_D).cos()], dim=-1).flatten(1)


class Regression(nn.Module):
    """The regression module both hybrids end with: a convolution over neighbouring frames, then a linear projection."""

    def __init__(self, width: int, num_joints: int):
        super().__init__()
        self.conv = nn.Conv1d(width, width, kernel_size=3, padding=1)
        self.project = nn.Linear(width, num_joints * 3)

    def forward(self, features_BTD: torch.Tensor) -> torch.Tensor:
        local_BTD = self.conv(features_BTD.transpose(1, 2)).transpose(1, 2)
        return self.project(features_BTD + nn.functional.gelu(local_BTD)).unflatten(-1, (-1, 3))


@register("single-branch")
class SingleBranch(Lifter):
    """LSTM, then Transformer, in series (section 3.1)."""

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """`width` of LSTM and encoder, number of encoder `depth` layers, `heads`, and `dropout` inside the encoder."""

        width: int = 256
        depth: int = 2
        heads: int = 8
        dropout: float = 0.0

    def __init__(self, config: Config):
        super().__init__(config)
        num_joints = len(self.layout)
        self.lstm = nn.LSTM(num_joints * config.channels, config.width, num_layers=2, batch_first=True)
        self.lstm_norm = nn.LayerNorm(config.width)
        layer = nn.TransformerEncoderLayer(
            config.width, config.heads, 4 * config.width, config.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, config.depth, enable_nested_tensor=False)
        self.encoder_norm = nn.LayerNorm(config.width)
        self.regression = Regression(config.width, num_joints)

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        local_BTD, _ = self.lstm(keypoints_BTJC.flatten(2))
        normed_BTD = self.lstm_norm(local_BTD)
        positions_TD = sinusoids(normed_BTD.shape[1], normed_BTD.shape[2], normed_BTD.device)
        global_BTD = self.encoder(normed_BTD + positions_TD)
        return self.regression(self.encoder_norm(global_BTD))
