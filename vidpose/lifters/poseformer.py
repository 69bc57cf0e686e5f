"""3D Human Pose Estimation with Spatial and Temporal Transformers (PoseFormer).

Zheng, Zhu, Mendieta, Yang, Chen, Ding, ICCV 2021. A spatial Transformer relates the joints of each frame; its output,
the features of all joints of a frame side by side, is one token of a temporal Transformer over the frames; a mean over
the frames with learned weights, a layer norm and a linear layer give the pose of the centre frame (section 3.2).
T = 81, width 32 a joint and so 544 a frame, four blocks and eight heads in either Transformer, 9.60 M parameters.

The released network adds to the mean over the frames one learned number, the same for all features. The layer norm
after it takes every such number away again, so it is neither here nor imported.

Shape suffixes: B batch, T frames, J joints, C channels, D width of a joint, E = J D width of a frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Depth, Probability, Ratio
from vidpose.lifters.lifter import FrameEncoder, LifterConfig, layouts_of
from vidpose.lifters.transformer import TransformerBlock, drop_path_rates


class SpatialTransformer(nn.Module):
    """The spatial Transformer module: (B, T, J, C) -> (B, T, E), each frame on its own."""

    def __init__(self, channels: int, joints: int, width: int, heads: int, mlp_ratio: float, drop_paths: list[float]):
        super().__init__()
        self.embed = nn.Linear(channels, width)
        self.positions = nn.Parameter(torch.zeros(1, joints, width))
        self.layers = nn.Sequential(*(TransformerBlock(width, heads, mlp_ratio, drop_path=rate) for rate in drop_paths))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        return self.norm(self.layers(self.embed(keypoints_BTJC) + self.positions)).flatten(2)


class PoseFormer(FrameEncoder):
    """A spatial, then a temporal Transformer, for the centre frame (section 3.2)."""

    name = "poseformer"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """`width` of a joint's features, `depth` and `heads` of either Transformer, MLP ratio, highest drop path."""

        channels: Count = 2
        normalisation: str = "screen"
        width: Count = 32
        depth: Depth = 4
        heads: Count = 8
        mlp_ratio: Ratio = 2.0
        drop_path: Probability = 0.1

    predicts = "centre"
    tiny = {"frames": 9, "width": 8, "depth": 2}  # noqa: RUF012
    variants = {"9-frames": {"frames": 9}, "27-frames": {"frames": 27}}  # noqa: RUF012
    authors_keys = (
        ("Spatial_patch_to_embedding", "spatial.embed"),
        ("Spatial_pos_embed", "spatial.positions"),
        ("Spatial_blocks", "spatial.layers"),
        ("Spatial_norm", "spatial.norm"),
        ("Temporal_pos_embed", "temporal_positions"),
        ("blocks", "temporal_layers"),
        ("Temporal_norm", "temporal_norm"),
    )

    def __init__(self, config: Config):
        super().__init__(config)
        joints = len(self.layout)
        width, heads, mlp_ratio = joints * config.width, config.heads, config.mlp_ratio
        rates = drop_path_rates(config.drop_path, config.depth)
        self.spatial = SpatialTransformer(config.channels, joints, config.width, heads, mlp_ratio, rates)
        self.temporal_positions = nn.Parameter(torch.zeros(1, config.frames, width))
        self.temporal_layers = nn.Sequential(
            *(TransformerBlock(width, heads, mlp_ratio, drop_path=rate) for rate in rates)
        )
        self.temporal_norm = nn.LayerNorm(width, eps=1e-6)
        self.weighted_mean = nn.Conv1d(config.frames, 1, kernel_size=1, bias=False)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, joints * 3))

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return self.config.frames, self.config.frames

    def encode(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        return self.spatial(keypoints_BTJC)

    def decode(self, features_BTD: torch.Tensor) -> torch.Tensor:
        tokens_BTE = self.temporal_norm(self.temporal_layers(features_BTD + self.temporal_positions))
        return self.head(self.weighted_mean(tokens_BTE)).unflatten(-1, (-1, 3))

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        width, channels = tensors["spatial.embed.weight"].shape
        return {
            **layouts_of(tensors["spatial.positions"].shape[1]),
            "frames": tensors["temporal_positions"].shape[1],
            "channels": channels,
            "width": width,
            "depth": count_blocks(tensors, "temporal_layers"),
            "mlp_ratio": tensors["spatial.layers.0.mlp.fc1.weight"].shape[0] / width,
        }

    @classmethod
    def from_authors(cls, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Without the bias of the mean over the frames, which has no effect."""
        return {key: tensor for key, tensor in tensors.items() if key != "weighted_mean.bias"}
