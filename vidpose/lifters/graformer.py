"""GraFormer: Graph-oriented Transformer for 3D Pose Estimation.

Zhao, Wang, Tian, CVPR 2022. Frame by frame. N blocks of two parts: GraAttention, attention over the joints whose MLP is
a graph convolution with a learnt adjacency (LAM); then ChebGConv, two Chebyshev graph convolutions over the skeleton
inside a residual. A Chebyshev convolution before the blocks embeds the keypoints, another after them gives the joints.
N = 5, width 96, four heads; 0.65 M parameters with the 16 joints of the paper.

As in the released network: the Laplacian is that of a skeleton with edges from each joint to itself, whose rows sum to
one; layer norms divide by the unbiased standard deviation plus 1e-6, outside the root; both layers of a block's MLP
share its adjacency.

Shape suffixes: B batch, T frames, J joints, C channels, D width, N frames of all the batch, K the powers of a graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Depth, Probability
from vidpose.lifters.lifter import Lifter, LifterConfig, layouts_of
from vidpose.lifters.strided_transformer import UnbiasedLayerNorm
from vidpose.lifters.transformer import Attention


def chebyshev_powers(parents: Sequence[int]) -> torch.Tensor:
    """(3, J, J): Chebyshev polynomials of degree 0, 1 and 2 of the skeleton's Laplacian.

    Args:
        parents: of each joint; -1 for the root.
    """
    links_JJ = torch.eye(len(parents))
    for joint, parent in enumerate(parents):
        if parent >= 0:
            links_JJ[joint, parent] = links_JJ[parent, joint] = 1
    identity_JJ = torch.eye(len(parents))
    laplacian_JJ = identity_JJ - links_JJ / links_JJ.sum(dim=1, keepdim=True)
    return torch.stack([identity_JJ, laplacian_JJ, 2 * laplacian_JJ @ laplacian_JJ - identity_JJ])


class ChebyshevConvolution(nn.Module):
    """A graph convolution over joints up to two bones away: (N, J, C) -> (N, J, D)."""

    powers_KJJ: torch.Tensor

    def __init__(self, channels: int, width: int, powers_KJJ: torch.Tensor):
        super().__init__()
        self.register_buffer("powers_KJJ", powers_KJJ, persistent=False)
        self.weight = nn.Parameter(torch.empty(len(powers_KJJ), channels, width))
        self.bias = nn.Parameter(torch.zeros(width))
        # As the authors', whose weights have one axis more.
        nn.init.xavier_normal_(self.weight.data[:, None])

    def forward(self, features_NJC: torch.Tensor) -> torch.Tensor:
        gathered_NKJC = self.powers_KJJ @ features_NJC[:, None]
        return (gathered_NKJC @ self.weight).sum(dim=1) + self.bias


class AdjacencyMlp(nn.Module):
    """An MLP each of whose layers first mixes the joints by a learnt adjacency (LAM): (N, J, D) -> (N, J, D)."""

    def __init__(self, width: int, joints: int):
        super().__init__()
        self.adjacency = nn.Parameter(torch.eye(joints))
        self.fc1 = nn.Linear(width, 2 * width)
        self.fc2 = nn.Linear(2 * width, width)

    def forward(self, features_NJD: torch.Tensor) -> torch.Tensor:
        scale_J = (self.adjacency.sum(dim=0) + 1e-5).rsqrt()
        mixing_JJ = scale_J[:, None] * self.adjacency * scale_J
        return self.fc2(mixing_JJ @ self.fc1(mixing_JJ @ features_NJD).relu())


class GraFormerBlock(nn.Module):
    """GraAttention, then two Chebyshev convolutions, all inside residuals: (N, J, D) -> (N, J, D)."""

    def __init__(self, config: GraFormer.Config, joints: int, powers_KJJ: torch.Tensor):
        super().__init__()
        width = config.width
        self.norm1, self.norm2 = UnbiasedLayerNorm(width), UnbiasedLayerNorm(width)
        self.attn = Attention(width, config.heads, attention_dropout=config.graph_dropout)
        self.mlp = AdjacencyMlp(width, joints)
        self.drop = nn.Dropout(config.dropout)
        self.conv1 = ChebyshevConvolution(width, width, powers_KJJ)
        self.conv2 = ChebyshevConvolution(width, width, powers_KJJ)
        self.graph_drop = nn.Dropout(config.graph_dropout)

    def forward(self, features_NJD: torch.Tensor) -> torch.Tensor:
        features_NJD = features_NJD + self.drop(self.attn(self.norm1(features_NJD)))
        features_NJD = features_NJD + self.drop(self.mlp(self.norm2(features_NJD)))
        inner_NJD = self.graph_drop(self.conv1(features_NJD).relu())
        return features_NJD + self.graph_drop(self.conv2(inner_NJD).relu())


class GraFormer(Lifter):
    """An embedding, N blocks and a head: (B, T, J, C) -> (B, T, J, 3), each frame on its own."""

    name = "graformer"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """`width`, `depth` N blocks, attention `heads`; `dropout` of attention and MLP, `graph_dropout` of the rest."""

        frames: Count = 1
        channels: Count = 2
        normalisation: str = "screen"
        width: Count = 96
        depth: Depth = 5
        heads: Count = 4
        dropout: Probability = 0.25
        graph_dropout: Probability = 0.1

    tiny = {"width": 16, "depth": 2}  # noqa: RUF012
    variants = {"16-joints": {"layout": "h36m16"}}  # noqa: RUF012
    authors_keys = (
        ("gconv_input", "embed"),
        ("gconv_output", "head"),
        ("atten_layers", "blocks"),
        ("gconv_layers", "blocks"),
        ("feed_forward.A_hat", "mlp.adjacency"),
        ("feed_forward.gconv", "mlp.fc"),
        (".fc.", "."),
        (".gconv1.gconv.", ".conv1."),
        (".gconv2.gconv.", ".conv2."),
        ("self_attn", "attn"),
        ("linears.3", "proj"),
        (".sublayer.0.norm.a_2", ".norm1.weight"),
        (".sublayer.0.norm.b_2", ".norm1.bias"),
        (".sublayer.1.norm.a_2", ".norm2.weight"),
        (".sublayer.1.norm.b_2", ".norm2.bias"),
    )

    def __init__(self, config: Config):
        super().__init__(config)
        powers_KJJ = chebyshev_powers(self.layout.parents)
        self.embed = ChebyshevConvolution(config.channels, config.width, powers_KJJ)
        self.blocks = nn.Sequential(
            *(GraFormerBlock(config, len(self.layout), powers_KJJ) for _ in range(config.depth))
        )
        self.head = ChebyshevConvolution(config.width, 3, powers_KJJ)

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return 1, None

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        joints_NJ3 = self.head(self.blocks(self.embed(keypoints_BTJC.flatten(0, 1))))
        return joints_NJ3.unflatten(0, keypoints_BTJC.shape[:2])

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        _, _, channels, width = tensors["embed.weight"].shape
        return {
            **layouts_of(len(tensors["blocks.0.mlp.adjacency"])),
            "channels": channels,
            "width": width,
            "depth": count_blocks(tensors, "blocks"),
        }

    @classmethod
    def from_authors(cls, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Theirs has q, k and v apart, and axes of length one in the convolutions."""
        ours = {}
        for key, tensor in tensors.items():
            if ".linears.0." in key:
                parts = [tensors[key.replace("linears.0", f"linears.{part}")] for part in range(3)]
                ours[key.replace("linears.0", "qkv")] = torch.cat(parts)
            elif ".linears." not in key:
                ours[key] = tensor.squeeze(1) if tensor.ndim == 4 else tensor[0, 0] if tensor.ndim == 3 else tensor
        return ours
