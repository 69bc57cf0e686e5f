"""KTPFormer: Kinematics and Trajectory Prior Knowledge-Enhanced Transformer for 3D Human Pose Estimation.

Peng, Zhou, Mok, CVPR 2024. MixSTE with two graph convolutions that bring prior knowledge to its first attention: along
the bones of the skeleton, in the place of the linear embedding (kinematics prior attention, KPA), and from frame to
frame of each joint's trajectory, before the first temporal block (trajectory prior attention, TPA). Either graph is a
fixed one of neighbours plus a learned one of all pairs. T = 243, width 512, seven pairs of blocks after the first,
35.2 M parameters.

Details are as in the released network: each graph convolution is followed by batch normalisation and ReLU; TPA is two
of them inside a residual; the sum of fixed and learned graph is made symmetric; and each kind of block is followed by a
layer norm that all depths share.

Shape suffixes: B batch, T frames, J joints, C channels, D width, N nodes of a graph: joints or frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Depth, Probability, Ratio
from vidpose.lifters.lifter import Lifter, LifterConfig, layouts_of
from vidpose.lifters.transformer import TransformerBlock, drop_path_rates


def neighbours(parents: Sequence[int]) -> torch.Tensor:
    """(N, N): each node's neighbours in a tree, weighted equally with sum one, and 1 for the node itself.

    Args:
        parents: each node's parent; -1 for the root.
    """
    children = [node for node, parent in enumerate(parents) if parent >= 0]
    adjacency_NN = torch.zeros(len(parents), len(parents))
    adjacency_NN[children, [parents[child] for child in children]] = 1
    adjacency_NN = adjacency_NN + adjacency_NN.T
    return (adjacency_NN / adjacency_NN.sum(dim=1, keepdim=True).clamp(min=1)).fill_diagonal_(1)


class GraphConv(nn.Module):
    """Modulated graph convolution (Zou and Tang 2021) over joints or, `temporal`, frames: (B, T, J, C) -> (B, T, J, D).

    A node and its neighbours have projections of their own, every node a gain for each feature.

    Args:
        prior_NN: the fixed graph, to which the learned one is added.
    """

    prior_NN: torch.Tensor

    def __init__(self, inputs: int, width: int, prior_NN: torch.Tensor, *, temporal: bool):
        super().__init__()
        self.temporal = temporal
        self.register_buffer("prior_NN", prior_NN, persistent=False)
        self.weight = nn.Parameter(torch.empty(2, inputs, width))
        self.gain = nn.Parameter(torch.ones(len(prior_NN), width))
        self.learned = nn.Parameter(torch.full_like(prior_NN, 1e-6))
        self.bias = nn.Parameter(torch.empty(width))
        nn.init.xavier_uniform_(self.weight, gain=2**0.5)
        nn.init.uniform_(self.bias, -(width**-0.5), width**-0.5)

    def forward(self, tokens_BTJC: torch.Tensor) -> torch.Tensor:
        graph_NN = self.prior_NN + self.learned
        graph_NN = (graph_NN + graph_NN.T) / 2
        self_ND = graph_NN.diagonal()[:, None] * self.gain
        others_NN = graph_NN - graph_NN.diagonal().diag()
        from_self_BTJD = tokens_BTJC @ self.weight[0]
        from_others_BTJD = tokens_BTJC @ self.weight[1]
        if self.temporal:
            weighted_BTX = (self.gain[:, None] * from_others_BTJD).flatten(2)
            mixed_BTJD = (others_NN @ weighted_BTX).view_as(from_others_BTJD)
            return self_ND[:, None] * from_self_BTJD + mixed_BTJD + self.bias
        return self_ND * from_self_BTJD + others_NN @ (self.gain * from_others_BTJD) + self.bias


class PriorLayer(nn.Module):
    """Graph convolution, batch normalisation, ReLU: (B, T, J, C) -> (B, T, J, D)."""

    def __init__(self, inputs: int, width: int, prior_NN: torch.Tensor, *, temporal: bool):
        super().__init__()
        self.conv = GraphConv(inputs, width, prior_NN, temporal=temporal)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, tokens_BTJC: torch.Tensor) -> torch.Tensor:
        tokens_BTJD = self.conv(tokens_BTJC)
        return self.norm(tokens_BTJD.flatten(0, 2)).relu().view_as(tokens_BTJD)


class KTPFormer(Lifter):
    """Spatial and temporal Transformer blocks in turn, the first of either kind after a graph convolution."""

    name = "ktpformer"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """`width`, `depth` pairs of blocks after the first pair, attention `heads`, MLP ratio, highest drop path."""

        frames: Count = 243
        channels: Count = 2
        normalisation: str = "screen"
        width: Count = 512
        depth: Depth = 7
        heads: Count = 8
        mlp_ratio: Ratio = 2.0
        drop_path: Probability = 0.1

    config: Config
    tiny = {"frames": 9, "width": 16, "depth": 1}  # noqa: RUF012
    variants = {"81-frames": {"frames": 81}}  # noqa: RUF012
    authors_keys = (
        ("kpattention.attn.Spatial_pos_embed", "spatial_positions"),
        ("tpattention.attn.Temporal_pos_embed", "temporal_positions"),
        ("kpattention.attn.kpa.", "kinematics."),
        ("tpattention.attn.tpa.gconv1.", "trajectory.0."),
        ("tpattention.attn.tpa.gconv2.", "trajectory.1."),
        ("gconv.W", "conv.weight"),
        ("gconv.M", "conv.gain"),
        ("gconv.adj2", "conv.learned"),
        ("gconv.bias", "conv.bias"),
        (".bn.", ".norm."),
        ("kpattention.", "first_spatial_block."),
        ("tpattention.", "first_temporal_block."),
        ("first_spatial_block.attn.norm1", "first_spatial_block.norm1"),
        ("first_temporal_block.attn.norm1", "first_temporal_block.norm1"),
        ("STEblocks", "spatial_blocks"),
        ("TTEblocks", "temporal_blocks"),
        ("Spatial_norm", "spatial_norm"),
        ("Temporal_norm", "temporal_norm"),
    )

    def __init__(self, config: Config):
        super().__init__(config)
        width, frames, joints = config.width, config.frames, len(self.layout)
        bones_JJ, steps_TT = neighbours(self.layout.parents), neighbours(range(-1, frames - 1))
        self.kinematics = PriorLayer(config.channels, width, bones_JJ, temporal=False)
        self.spatial_positions = nn.Parameter(torch.zeros(1, joints, width))
        self.trajectory = nn.Sequential(*(PriorLayer(width, width, steps_TT, temporal=True) for _ in range(2)))
        self.temporal_positions = nn.Parameter(torch.zeros(1, frames, width))

        first, *rest = drop_path_rates(config.drop_path, config.depth + 1)
        self.first_spatial_block = self.block(first, temporal=False)
        self.first_temporal_block = self.block(first, temporal=True)
        # The authors have PyTorch's default here, unlike in all other norms of blocks.
        for block in (self.first_spatial_block, self.first_temporal_block):
            block.norm1.eps = 1e-5
        self.spatial_blocks = nn.ModuleList(self.block(rate, temporal=False) for rate in rest)
        self.temporal_blocks = nn.ModuleList(self.block(rate, temporal=True) for rate in rest)
        self.spatial_norm = nn.LayerNorm(width, eps=1e-6)
        self.temporal_norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3))

    def block(self, drop_path: float, *, temporal: bool) -> TransformerBlock:
        """A Transformer block with the settings of all."""
        config = self.config
        return TransformerBlock(config.width, config.heads, config.mlp_ratio, drop_path=drop_path, temporal=temporal)

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return self.config.frames, self.config.frames

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        tokens_BTJD = self.kinematics(keypoints_BTJC) + self.spatial_positions
        tokens_BTJD = self.spatial_norm(self.first_spatial_block(tokens_BTJD))
        tokens_BTJD = tokens_BTJD + self.trajectory(tokens_BTJD) + self.temporal_positions[:, :, None]
        tokens_BTJD = self.temporal_norm(self.first_temporal_block(tokens_BTJD))
        for spatial, temporal in zip(self.spatial_blocks, self.temporal_blocks, strict=True):
            tokens_BTJD = self.spatial_norm(spatial(tokens_BTJD))
            tokens_BTJD = self.temporal_norm(temporal(tokens_BTJD))
        return self.head(tokens_BTJD)

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        _, channels, width = tensors["kinematics.conv.weight"].shape
        return {
            **layouts_of(tensors["spatial_positions"].shape[1]),
            "frames": tensors["temporal_positions"].shape[1],
            "channels": channels,
            "width": width,
            "depth": count_blocks(tensors, "spatial_blocks"),
            "mlp_ratio": tensors["first_spatial_block.mlp.fc1.weight"].shape[0] / width,
        }
