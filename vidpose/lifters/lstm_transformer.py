"""Hybrid LSTM & Transformer for 3D Human Pose Estimation.

ITM Web of Conferences 80, 01002, 2025. Local motion from recurrence, the coherence of the whole clip from
self-attention; T = 81 (Table 1).

* single-branch (section 3.1, right panel of Fig. 1): two-layer LSTM -> normalisation -> positional encoding ->
  Transformer encoder with eight heads -> Layer Normalization -> regression module of convolutional layers and a linear
  projection.
* dual-branch (section 3.2, left panel): the output of the first LSTM layer is split in two. One part, beside the
  position-encoded input, goes through an encoder layer with eight heads and Layer Normalization; the other through the
  second LSTM layer and Layer Normalization. Learnable weights fuse the two; the same regression module follows.
* lstm (section 4.1, the baseline): the two-layer LSTM, normalisation and the regression module, with no encoder.

The authors have published no code, and the paper leaves open the widths, the number of encoder layers of the single
branch, the kind of positional encoding (section 3 allows sinusoids or learned vectors), how the dual branch brings its
input to the encoder's width, whether its fusion has a weight a branch or a channel, and the shape of the regression
module. We take width 256; two encoder layers in the single branch, one (the paper says "layer") in the dual;
sinusoids, which need no fixed T; pre-norm encoders; halves of equal width, the input embedded linearly to the width of
one half; one weight a branch, both under a softmax; and one residual convolution over three frames. Nor does it say
whether the network answers for all frames of a window or for the centre one, as PoseFormerV2 does, with which it is
compared: `answers` offers both, "all" by default.

Shape suffixes: B batch, T frames, J joints, C channels, D width, H half of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from vidpose.common.settings import Count, Depth, Probability
from vidpose.lifters.lifter import Lifter, LifterConfig


def sinusoids(length: int, width: int, device: torch.device) -> torch.Tensor:
    """(length, width) sine and cosine positional encoding of "Attention is all you need", section 3.5."""
    position_T1 = torch.arange(length, device=device, dtype=torch.float32)[:, None]
    rate_D = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000.0) / width))
    return torch.stack([(position_T1 * rate_D).sin(), (position_T1 * rate_D).cos()], dim=-1).flatten(1)


def encoder(width: int, heads: int, depth: int, dropout: float) -> nn.TransformerEncoder:
    """The pre-norm Transformer encoder of both hybrids."""
    layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout, "gelu", batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)


class Regression(nn.Module):
    """The regression module they end with: a convolution over neighbouring frames, then a linear projection."""

    def __init__(self, width: int, num_joints: int):
        super().__init__()
        self.conv = nn.Conv1d(width, width, kernel_size=3, padding=1)
        self.project = nn.Linear(width, num_joints * 3)

    def forward(self, features_BTD: torch.Tensor) -> torch.Tensor:
        local_BTD = self.conv(features_BTD.transpose(1, 2)).transpose(1, 2)
        return self.project(features_BTD + nn.functional.gelu(local_BTD)).unflatten(-1, (-1, 3))


class AnyLength(Lifter):
    """None of the three has anything whose size depends on T. They answer for all frames, or for the centre one."""

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """`answers`: "all" frames of the window, or the "centre" one."""

        answers: Literal["all", "centre"] = "all"

    config: Config

    def __init__(self, config: Config):
        super().__init__(config)
        self.predicts = "sequence" if config.answers == "all" else "centre"

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return 1, None

    def answer(self, joints_BTJD: torch.Tensor) -> torch.Tensor:
        """Of the joints of all frames, those that are asked for."""
        centre = joints_BTJD.shape[1] // 2
        return joints_BTJD if self.config.answers == "all" else joints_BTJD[:, centre : centre + 1]


class LSTM(AnyLength):
    """The baseline: the LSTM of the hybrids on its own."""

    name = "lstm"

    @dataclass(frozen=True)
    class Config(AnyLength.Config):
        """`width` of the two LSTM layers."""

        width: Count = 256

    tiny = {"frames": 9, "width": 16}  # noqa: RUF012

    def __init__(self, config: Config):
        super().__init__(config)
        num_joints = len(self.layout)
        self.lstm = nn.LSTM(num_joints * config.channels, config.width, num_layers=2, batch_first=True)
        self.lstm_norm = nn.LayerNorm(config.width)
        self.regression = Regression(config.width, num_joints)

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        return self.answer(self.regression(self.local(keypoints_BTJC)))

    def local(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        """(B, T, J, C) -> (B, T, D): the normalised output of the LSTM."""
        return self.lstm_norm(self.lstm(keypoints_BTJC.flatten(2))[0])


class SingleBranch(LSTM):
    """LSTM, then Transformer, in series (section 3.1)."""

    name = "single-branch"

    @dataclass(frozen=True)
    class Config(LSTM.Config):
        """`width` of LSTM and encoder, number of encoder `depth` layers, `heads`, and `dropout` inside the encoder."""

        width: Count = 256
        depth: Depth = 2
        heads: Count = 8
        dropout: Probability = 0.0

    tiny = {"frames": 9, "width": 16, "depth": 1}  # noqa: RUF012

    def __init__(self, config: Config):
        super().__init__(config)
        self.encoder = encoder(config.width, config.heads, config.depth, config.dropout)
        self.encoder_norm = nn.LayerNorm(config.width)

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        local_BTD = self.local(keypoints_BTJC)
        positions_TD = sinusoids(local_BTD.shape[1], local_BTD.shape[2], local_BTD.device)
        global_BTD = self.encoder(local_BTD + positions_TD)
        return self.answer(self.regression(self.encoder_norm(global_BTD)))


class DualBranch(AnyLength):
    """LSTM and Transformer in parallel, fused by learnable weights (section 3.2)."""

    name = "dual-branch"

    @dataclass(frozen=True)
    class Config(AnyLength.Config):
        """`width` of either branch, number of encoder `depth` layers, `heads`, and `dropout` inside the encoder."""

        width: Count = 256
        depth: Depth = 1
        heads: Count = 8
        dropout: Probability = 0.0

    tiny = {"frames": 9, "width": 16}  # noqa: RUF012

    def __init__(self, config: Config):
        super().__init__(config)
        num_joints, half = len(self.layout), config.width // 2
        self.lstm_first = nn.LSTM(num_joints * config.channels, config.width, batch_first=True)
        self.lstm_second = nn.LSTM(half, config.width, batch_first=True)
        self.lstm_norm = nn.LayerNorm(config.width)
        self.embed = nn.Linear(num_joints * config.channels, half)
        self.encoder = encoder(config.width, config.heads, config.depth, config.dropout)
        self.encoder_norm = nn.LayerNorm(config.width)
        self.fusion = nn.Parameter(torch.zeros(2))
        self.regression = Regression(config.width, num_joints)

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        inputs_BTI = keypoints_BTJC.flatten(2)
        shared_BTD, _ = self.lstm_first(inputs_BTI)
        to_encoder_BTH, to_lstm_BTH = shared_BTD.chunk(2, dim=-1)

        embedded_BTH = self.embed(inputs_BTI)
        positions_TH = sinusoids(embedded_BTH.shape[1], embedded_BTH.shape[2], embedded_BTH.device)
        global_BTD = self.encoder_norm(self.encoder(torch.cat([to_encoder_BTH, embedded_BTH + positions_TH], dim=-1)))
        local_BTD = self.lstm_norm(self.lstm_second(to_lstm_BTH.contiguous())[0])

        global_weight, local_weight = self.fusion.softmax(dim=0)
        return self.answer(self.regression(global_weight * global_BTD + local_weight * local_BTD))
