"""MixSTE: Seq2seq Mixed Spatio-Temporal Encoder for 3D Human Pose Estimation in Video.

Zhang, Tu, Yang, Chen, Yuan, CVPR 2022. Attention over the joints of each frame and over the frames of each joint take
turns (section 3.1, Fig. 2); every frame is answered. Depth 8, width 512, T = 243, 33.8 M parameters (Table 7 and the
text below it; section 4.2).

Where the paper's equations and the released network differ we follow the network, whose weights can be imported: the
blocks normalise before attention and MLP (eq. 6 normalises once, the embedding), each block kind is followed by a layer
norm that all depths share, q.k is divided by the square root of a head's width (eq. 3 says of the model's), and the
paper's dropout of 0.1 is a drop path that rises to 0.1 with the depth.

Table 5's steps from PoseFormer are two settings. Without `alternating`, all spatial blocks come before all temporal
ones. Without `joint_separation`, the temporal blocks see one token a frame, its joints' features side by side: J times
as wide, which at the paper's width is 4.9 thousand million parameters.

Shape suffixes: B batch, T frames, J joints, C channels, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Depth, Probability, Ratio
from vidpose.lifters.lifter import Lifter, LifterConfig, layouts_of
from vidpose.lifters.transformer import TransformerBlock, drop_path_rates


class MixSTE(Lifter):
    """Spatial and temporal Transformer blocks in turn (section 3.1.3)."""

    name = "mixste"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """`width` d_m, `depth` d_l pairs of blocks, attention `heads`, MLP ratio, and the switches of Table 5."""

        frames: Count = 243
        channels: Count = 2
        normalisation: str = "screen"
        width: Count = 512
        depth: Depth = 8
        heads: Count = 8
        mlp_ratio: Ratio = 2.0
        drop_path: Probability = 0.1
        alternating: bool = True
        joint_separation: bool = True

    config: Config
    tiny = {"frames": 9, "width": 16, "depth": 2}  # noqa: RUF012
    variants = {  # noqa: RUF012
        "table5-seq2seq": {"alternating": False, "joint_separation": False},
        "table5-alternating": {"joint_separation": False},
    }
    authors_keys: ClassVar[Sequence[tuple[str, str]]] = (
        ("Spatial_pos_embed", "spatial_positions"),
        ("Temporal_pos_embed", "temporal_positions"),
        ("Spatial_patch_to_embedding", "embed"),
        ("STEblocks", "spatial_blocks"),
        ("TTEblocks", "temporal_blocks"),
        ("Spatial_norm", "spatial_norm"),
        ("Temporal_norm", "temporal_norm"),
    )

    def __init__(self, config: Config):
        super().__init__(config)
        width, joints = config.width, len(self.layout)
        time_width = width if config.joint_separation else joints * width
        rates = drop_path_rates(config.drop_path, config.depth)
        self.embed = nn.Linear(config.channels, width)
        self.spatial_positions = nn.Parameter(torch.zeros(1, joints, width))
        self.temporal_positions = nn.Parameter(torch.zeros(1, config.frames, time_width))
        self.spatial_blocks = nn.ModuleList(
            TransformerBlock(width, config.heads, config.mlp_ratio, drop_path=rate) for rate in rates
        )
        self.temporal_blocks = nn.ModuleList(
            TransformerBlock(
                time_width, config.heads, config.mlp_ratio, drop_path=rate, temporal=config.joint_separation
            )
            for rate in rates
        )
        self.spatial_norm = nn.LayerNorm(width, eps=1e-6)
        self.temporal_norm = nn.LayerNorm(time_width, eps=1e-6)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3))

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        return self.relate(self.embed(keypoints_BTJC))

    def relate(self, tokens_BTJD: torch.Tensor) -> torch.Tensor:
        """All blocks and the head: (B, T, J, D) -> (B, T, J, 3)."""
        depth = range(self.config.depth)
        if self.config.alternating:
            for index in depth:
                tokens_BTJD = self.temporal(self.spatial(tokens_BTJD, index), index)
        else:
            for index in depth:
                tokens_BTJD = self.spatial(tokens_BTJD, index)
            for index in depth:
                tokens_BTJD = self.temporal(tokens_BTJD, index)
        return self.head(tokens_BTJD)

    def spatial(self, tokens_BTJD: torch.Tensor, index: int) -> torch.Tensor:
        """The STB of a loop; positions are added in the first only (section 3.1.3)."""
        if index == 0:
            tokens_BTJD = tokens_BTJD + self.spatial_positions
        return self.spatial_norm(self.spatial_blocks[index](tokens_BTJD))

    def temporal(self, tokens_BTJD: torch.Tensor, index: int) -> torch.Tensor:
        """The TTB of a loop, over each joint's trajectory (eq. 1) or, without joint separation, over whole poses."""
        joints = tokens_BTJD.shape[2]
        positions_1TD = self.temporal_positions[:, : tokens_BTJD.shape[1]]
        if self.config.joint_separation:
            tokens, positions = tokens_BTJD, positions_1TD[:, :, None]
        else:
            tokens, positions = tokens_BTJD.flatten(2), positions_1TD
        if index == 0:
            tokens = tokens + positions
        tokens = self.temporal_norm(self.temporal_blocks[index](tokens))
        return tokens if self.config.joint_separation else tokens.unflatten(-1, (joints, -1))

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        width, channels = tensors["embed.weight"].shape
        return {
            **layouts_of(tensors["spatial_positions"].shape[1]),
            "frames": tensors["temporal_positions"].shape[1],
            "channels": channels,
            "width": width,
            "depth": count_blocks(tensors, "spatial_blocks"),
            "mlp_ratio": tensors["spatial_blocks.0.mlp.fc1.weight"].shape[0] / width,
        }
