"""P-STMO: Pre-Trained Spatial Temporal Many-to-One Model for 3D Human Pose Estimation.

Shan, Liu, Zhang, Wang, Ma, Gao, ECCV 2022. The network, STMO, is the strided Transformer of Li et al. with another
embedding: a residual MLP block relates the joints of each frame (spatial encoding module), the vanilla encoder relates
the frames (temporal encoding module), the strided one shrinks them to the centre frame (many-to-one frame aggregator).
T = 243, every second frame of the video (temporal downsampling), strides 3, width 256. P-STMO-S, the default, has three
layers in the vanilla encoder and 6.48 M parameters, P-STMO has four and 7.01 M.

The paper first trains embedding and vanilla encoder to restore masked 2D poses: stage I, `masked_poses.py`. A file of
the authors' stage I is imported as weights to start stage II from: what it does not hold is drawn afresh. As in the
strided Transformer, we follow the released network where it differs from the paper's formulas.

Shape suffixes: B batch, T frames, J joints, C channels, D width, H width of the MLP, N frames of all the batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import leaky_relu

from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Counts
from vidpose.lifters.lifter import input_shape, layouts_of
from vidpose.lifters.strided_transformer import ENCODER_KEYS, StridedTransformer


class SpatialEncoding(nn.Module):
    """The spatial encoding module: (B, T, J, C) -> (B, T, D), each frame on its own.

    A linear layer, a residual block of two and a linear layer; all but the last with batch normalisation, leaky ReLU
    and dropout.
    """

    def __init__(self, coordinates: int, width: int):
        super().__init__()
        hidden = 2 * width
        self.fc1, self.norm = nn.Linear(coordinates, hidden), nn.BatchNorm1d(hidden)
        self.block_fc1, self.block_norm1 = nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden)
        self.block_fc2, self.block_norm2 = nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.drop = nn.Dropout(0.1)

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        features_NH = self.activate(self.norm(self.fc1(keypoints_BTJC.flatten(2).flatten(0, 1))))
        inner_NH = self.activate(self.block_norm1(self.block_fc1(features_NH)))
        features_NH = features_NH + self.activate(self.block_norm2(self.block_fc2(inner_NH)))
        return self.fc2(features_NH).view(*keypoints_BTJC.shape[:2], -1)

    def activate(self, features_NH: torch.Tensor) -> torch.Tensor:
        return self.drop(leaky_relu(features_NH, 0.2))


class PSTMO(StridedTransformer):
    """Spatial encoding, temporal encoding and a many-to-one frame aggregator: (B, T, J, C) -> (B, 1, J, 3)."""

    name = "p-stmo"

    @dataclass(frozen=True)
    class Config(StridedTransformer.Config):
        """As the strided Transformer's; the MLP of the embedding is twice as wide as the tokens."""

        frames: Count = 243
        frame_stride: Count = 2
        strides: Counts = (3, 3, 3, 3, 3)

    Embedding = SpatialEncoding

    variants = {"large": {"depth": 4}, "81-frames": {"frames": 81, "strides": (3, 3, 3, 3)}}  # noqa: RUF012
    authors_keys = (
        ("encoder.fc_", "embed.fc"),
        ("encoder.bn_1", "embed.norm"),
        ("encoder.layers.0.w", "embed.block_fc"),
        ("encoder.layers.0.batch_norm", "embed.block_norm"),
        *ENCODER_KEYS,
    )

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        if "mask_token" not in tensors:
            return super().infer_config(tensors)
        # Of stage I: the decoder's head answers for 2D, and no strided encoder is there.
        joints, frames = tensors["fcn_dec.1.weight"].shape[0] // 2, tensors["vanilla.positions"].shape[1]
        input_joints, channels = input_shape(tensors["embed.fc1.weight"].shape[1], joints)
        strides = (3,) * round(math.log(frames, 3))
        return {
            **layouts_of(joints, input_joints),
            "frames": frames,
            "channels": channels,
            "width": tensors["vanilla.positions"].shape[2],
            "hidden": tensors["vanilla.layers.0.mlp.fc1.weight"].shape[0],
            "depth": count_blocks(tensors, "vanilla.layers"),
            "strides": strides,
        }

    @classmethod
    def from_authors(cls, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Of stage I only the lifter's front, and the rest as it is drawn."""
        if "mask_token" not in tensors:
            return super().from_authors(tensors)
        fresh = cls(cls.Config(**cls.infer_config(tensors))).state_dict()
        front = {key: tensor for key, tensor in tensors.items() if key.startswith(("embed.", "vanilla."))}
        return fresh | super().from_authors(front)
