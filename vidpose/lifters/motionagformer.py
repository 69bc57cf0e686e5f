"""MotionAGFormer: Enhancing 3D Human Pose Estimation with a Transformer-GCNFormer Network.

Mehraban, Adeli, Taati, WACV 2024. N blocks of two streams each (section 3.3, Fig. 2): one attends, over joints and then
over time, the other convolves over graphs, of the skeleton and then of like frames; weights that every token has of
its own fuse them (eq. 8 and 9). A linear layer with tanh makes of the last features the motion semantic M, and another
linear layer the joints (section 3.2). Four sizes (Table 1; parameters in millions):

    size     N   width    T    parameters
    xs      12      64   27           2.2
    s       26      64   81           4.8
    b       16     128  243          11.7
    l       26     128  243          19.0

Where the paper and the released network differ we follow the network, whose weights can be imported:

* Eq. 7 gives each node an edge to itself. The skeleton's graph has none; there, W_2 alone carries what a joint holds.
* The skeleton's graph lacks three of the edges along bones (`_MISSING_EDGES`). It is Human3.6M's by the joints'
  numbers, also where these mean other joints: the authors train on MPI-INF-3DHP's with the same graph.
* A frame's neighbours are all frames at least as similar as the K-th most similar, itself included, which may be more
  than K. An edge need not go both ways; both its ends are scaled by the number of neighbours that the frame there has.
* The batch norm of eq. 7 has a mean and a variance for each node, not for each channel, so T cannot vary.
* The layer norms come before the mixer and the MLP (as in eq. 1 and Fig. 2), each of whose outputs is scaled per
  channel, by 1e-5 at first, which the paper does not mention.

Shape suffixes: B batch, T frames, J joints, C channels, D width, E width of the motion semantic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from vidpose.body.skeletons import H36M_17
from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Depth, Ratio
from vidpose.lifters.lifter import Lifter, LifterConfig, layouts_of
from vidpose.lifters.transformer import AdaptiveFusion, Attention, Mlp, TemporalAttention

_MISSING_EDGES = (("pelvis", "left_hip"), ("thorax", "left_shoulder"), ("thorax", "right_shoulder"))
"""(joint, neighbour) pairs along bones that the released network leaves out: here only the limb sees the trunk."""


class GraphConvolution(nn.Module):
    """What each node of a graph holds, mixed with what its neighbours hold (eq. 7): (B, T, J, D) -> the same shape.

    Attributes:
        joined: axes that are flattened into one, which leaves the nodes on axis 1, where batch norm wants them.
    """

    joined: ClassVar[tuple[int, int]]

    def __init__(self, width: int, nodes: int):
        super().__init__()
        self.own = nn.Linear(width, width)
        self.neighbours = nn.Linear(width, width)
        self.batch_norm = nn.BatchNorm1d(nodes)
        for linear in (self.own, self.neighbours):
            nn.init.normal_(linear.weight, std=math.sqrt(2 / width))

    def forward(self, tokens_BTJD: torch.Tensor) -> torch.Tensor:
        mixed_BTJD = self.own(tokens_BTJD) + self.aggregate(tokens_BTJD)
        normalised_BTJD = self.batch_norm(mixed_BTJD.flatten(*self.joined)).view_as(mixed_BTJD)
        return (tokens_BTJD + normalised_BTJD).relu()

    def aggregate(self, tokens_BTJD: torch.Tensor) -> torch.Tensor:
        """What each node gets from its neighbours, of the same shape."""
        raise NotImplementedError


class SpatialGraphConvolution(GraphConvolution):
    """Over the skeleton, in each frame on its own (Fig. 3a)."""

    joined = (0, 1)

    def __init__(self, width: int):
        super().__init__(width, len(H36M_17))
        edges_JJ = torch.zeros(len(H36M_17), len(H36M_17))
        for parent, child in H36M_17.bones:
            edges_JJ[parent, child] = edges_JJ[child, parent] = 1
        for joint, neighbour in _MISSING_EDGES:
            edges_JJ[H36M_17.index(joint), H36M_17.index(neighbour)] = 0
        scale_J = edges_JJ.sum(dim=1).rsqrt()
        self.register_buffer("adjacency_JJ", scale_J[:, None] * edges_JJ * scale_J, persistent=False)

    def aggregate(self, tokens_BTJD: torch.Tensor) -> torch.Tensor:
        return self.adjacency_JJ @ self.neighbours(tokens_BTJD)


class TemporalGraphConvolution(GraphConvolution):
    """Over the frames that are most alike, for each joint on its own (Fig. 3b)."""

    joined = (2, 3)

    def __init__(self, width: int, frames: int, neighbour_count: int):
        super().__init__(width, frames)
        self.neighbour_count = neighbour_count

    def aggregate(self, tokens_BTJD: torch.Tensor) -> torch.Tensor:
        tokens_BJTD = tokens_BTJD.transpose(1, 2)
        edges_BJTT = self.edges(tokens_BJTD)
        scale_BJT1 = edges_BJTT.sum(dim=-1, keepdim=True).rsqrt()
        aggregated_BJTD = scale_BJT1 * (edges_BJTT @ (scale_BJT1 * self.neighbours(tokens_BJTD)))
        return aggregated_BJTD.transpose(1, 2)

    def edges(self, tokens_BJTD: torch.Tensor) -> torch.Tensor:
        """(B, J, T, T): 1 where the frame of the column is a neighbour of the row's, else 0."""
        # In single precision even under autocast (which knows no "meta"): in half, slow motion makes most frames
        # equally similar.
        device = tokens_BJTD.device.type
        with nullcontext() if device == "meta" else torch.autocast(device, enabled=False):
            points_BJTD = tokens_BJTD.detach().float()
            similarity_BJTT = points_BJTD @ points_BJTD.transpose(2, 3)
        least_BJT1 = similarity_BJTT.topk(self.neighbour_count, dim=-1).values[..., -1:]
        return (similarity_BJTT >= least_BJT1).to(tokens_BJTD.dtype)


class MetaFormer(nn.Module):
    """A token mixer and an MLP, each after a layer norm, scaled and inside a residual (eq. 1): tokens -> same shape."""

    def __init__(self, width: int, mlp_ratio: float, mixer: nn.Module):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.mixer = mixer
        self.layer_scale_1 = nn.Parameter(torch.full((width,), 1e-5))
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, int(width * mlp_ratio))
        self.layer_scale_2 = nn.Parameter(torch.full((width,), 1e-5))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.layer_scale_1 * self.mixer(self.norm1(tokens))
        return tokens + self.layer_scale_2 * self.mlp(self.norm2(tokens))


class AGFormerBlock(nn.Module):
    """An attention and a graph stream, fused: (B, T, J, D) -> the same shape (section 3.3)."""

    def __init__(self, config: MotionAGFormer.Config):
        super().__init__()
        width, heads, ratio = config.width, config.heads, config.mlp_ratio
        self.att_spatial = MetaFormer(width, ratio, Attention(width, heads, qkv_bias=False))
        self.att_temporal = MetaFormer(width, ratio, TemporalAttention(width, heads, qkv_bias=False))
        self.graph_spatial = MetaFormer(width, ratio, SpatialGraphConvolution(width))
        self.graph_temporal = MetaFormer(
            width, ratio, TemporalGraphConvolution(width, config.frames, config.neighbours)
        )
        self.fusion = AdaptiveFusion(width)

    def forward(self, tokens_BTJD: torch.Tensor) -> torch.Tensor:
        attended_BTJD = self.att_temporal(self.att_spatial(tokens_BTJD))
        convolved_BTJD = self.graph_temporal(self.graph_spatial(tokens_BTJD))
        return self.fusion(attended_BTJD, convolved_BTJD)


class MotionAGFormer(Lifter):
    """Stacked AGFormer blocks (section 3.2), by default of size b."""

    name = "motionagformer"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """`width` d, `representation` d' (the width of M), `depth` N, attention `heads` h, MLP ratio alpha.

        `neighbours` K of each frame in the graph over time.
        """

        frames: Count = 243
        normalisation: str = "screen"
        units: Literal["metres", "image"] = "image"
        width: Count = 128
        representation: Count = 512
        depth: Depth = 16
        heads: Count = 8
        mlp_ratio: Ratio = 4.0
        neighbours: Count = 2

    layouts = ("h36m17", "mpi-inf-3dhp17")
    tiny = {"frames": 9, "width": 16, "representation": 24, "depth": 2}  # noqa: RUF012
    variants = {  # noqa: RUF012
        "xs": {"frames": 27, "width": 64, "depth": 12},
        "s": {"frames": 81, "width": 64, "depth": 26},
        "b": {},
        "l": {"depth": 26},
    }
    authors_keys = (
        ("pos_embed", "spatial_positions"),
        ("joints_embed", "embed"),
        ("layers", "blocks"),
        ("mixer.U", "mixer.own"),
        ("mixer.V", "mixer.neighbours"),
        ("rep_logit.fc", "representation"),
    )

    def __init__(self, config: Config):
        super().__init__(config)
        self.embed = nn.Linear(config.channels, config.width)
        self.spatial_positions = nn.Parameter(torch.zeros(1, len(self.layout), config.width))
        self.blocks = nn.Sequential(*(AGFormerBlock(config) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(config.width)
        self.representation = nn.Linear(config.width, config.representation)
        self.head = nn.Linear(config.representation, 3)

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return self.config.frames, self.config.frames

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        return self.head(self.represent(keypoints_BTJC))

    def represent(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        """The motion semantic M: (B, T, J, C) -> (B, T, J, E), each number within (-1, 1)."""
        tokens_BTJD = self.blocks(self.embed(keypoints_BTJC) + self.spatial_positions)
        return self.representation(self.norm(tokens_BTJD)).tanh()

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        width, channels = tensors["embed.weight"].shape
        return {
            **layouts_of(tensors["spatial_positions"].shape[1]),
            "frames": len(tensors["blocks.0.graph_temporal.mixer.batch_norm.weight"]),
            "channels": channels,
            "width": width,
            "representation": tensors["representation.weight"].shape[0],
            "depth": count_blocks(tensors, "blocks"),
            "mlp_ratio": tensors["blocks.0.att_spatial.mlp.fc1.weight"].shape[0] / width,
        }
