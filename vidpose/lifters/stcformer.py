"""3D Human Pose Estimation with Spatio-Temporal Criss-cross Attention (STCFormer).

Tang, Qiu, Hao, Hong, Yao, CVPR 2023. Each of L blocks attends over the joints of a frame with one half of the channels
and over the frames of a joint with the other half, at the same time (section 3.3, Fig. 2). Instead of positions, the
body's structure is added to what attention gives (section 3.4): a depthwise 3 x 3 convolution of the values over
neighbouring frames and joints, and a learnt vector for each part of the body. L = 6, C = 256, 8 heads, 4.75 M
parameters; the large network has C = 512 and 18.9 M (section 4.2, Table 4). T = 243; all frames are trained, the centre
one is used.

Where the paper and the released network differ we follow the network, whose weights can be imported:

* The window takes every third frame of the video, so that it spans 727 of them.
* q.k is divided by the square root of C / 2, the width of all heads together (eq. 1, which omits the heads, has C).
* The vectors of the parts (eq. 9 and 11) are as wide as a head, not C / 2; all heads share them. They are added times
  1e-4 to the spatial half and times 1e-9 to the temporal one, where rounding swallows them, and training leaves each
  out half of the time.
* A linear layer follows the concatenation of eq. 7. The MLP has no biases, and dropout.

The order of neighbours that the convolution sees is that of the layout's joints. In `H36M_17` 3 (an ankle) lies beside
4 (a hip).

Shape suffixes: B batch, T frames, J joints, C width, H half of it, P width of a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Depth, Probability, Ratio
from vidpose.lifters.lifter import Lifter, LifterConfig
from vidpose.lifters.transformer import DropPath, Mlp, attention

_PARTS = {
    "h36m17": (0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 3, 3, 3, 4, 4, 4),
    "mpi-inf-3dhp17": (0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 0, 0, 0),
}
"""The part of the body that each joint of a layout belongs to: trunk and head, or one of the limbs (eq. 8)."""

_PART_COUNT = 5


class Pathway(nn.Module):
    """Attention with half of the channels, plus the convolution of its values: (B, T, J, C) -> (B, T, J, H).

    Over time (`temporal`, eq. 5) or over joints (eq. 6); the convolution is eq. 10.
    """

    def __init__(self, width: int, heads: int, *, temporal: bool):
        super().__init__()
        half = width // 2
        self.heads, self.temporal, self.scale = heads, temporal, half**-0.5
        self.qkv = nn.Linear(width, 3 * half)
        self.local = nn.Conv2d(half, half, kernel_size=3, padding=1, groups=half)

    def forward(self, tokens_BTJC: torch.Tensor) -> torch.Tensor:
        weights_and_biases = zip(self.qkv.weight.chunk(3), self.qkv.bias.chunk(3), strict=True)
        q_BTJH, k_BTJH, v_BTJH = (linear(tokens_BTJC, weight, bias) for weight, bias in weights_and_biases)
        query, key, value = self.split(q_BTJH), self.split(k_BTJH), self.split(v_BTJH)
        attended = attention(query, key, value, scale=self.scale)
        local_BHTJ = self.local(v_BTJH.permute(0, 3, 1, 2))
        return attended.transpose(1, 2).reshape(v_BTJH.shape) + local_BHTJ.permute(0, 2, 3, 1)

    def split(self, features_BTJH: torch.Tensor) -> torch.Tensor:
        """Heads apart: (B T, heads, J, P), or (B, J heads, T, P), where the joints are taken as further heads."""
        if self.temporal:
            return features_BTJH.unflatten(-1, (self.heads, -1)).flatten(2, 3).transpose(1, 2)
        return features_BTJH.flatten(0, 1).unflatten(-1, (self.heads, -1)).transpose(1, 2)


class STCAttention(nn.Module):
    """Spatio-temporal criss-cross attention with the body's structure: (B, T, J, C) -> the same shape (eq. 11)."""

    def __init__(self, width: int, heads: int, layout: str):
        super().__init__()
        self.heads = heads
        self.spatial = Pathway(width, heads, temporal=False)
        self.temporal = Pathway(width, heads, temporal=True)
        self.parts = nn.Embedding(_PART_COUNT, width // 2 // heads)
        self.part_drop = DropPath(0.5)
        self.proj = nn.Linear(width, width)
        self.register_buffer("part_J", torch.tensor(_PARTS[layout]), persistent=False)

    def forward(self, tokens_BTJC: torch.Tensor) -> torch.Tensor:
        parts_JH = self.parts(self.part_J).repeat(1, self.heads)
        spatial_BTJH = self.spatial(tokens_BTJC) + 1e-4 * self.part_drop(parts_JH)
        temporal_BTJH = self.temporal(tokens_BTJC) + 1e-9 * self.part_drop(parts_JH)
        return self.proj(torch.cat([spatial_BTJH, temporal_BTJH], dim=-1))


class STCBlock(nn.Module):
    """Criss-cross attention and MLP, each after a layer norm and inside a residual (eq. 3): tokens -> same shape."""

    def __init__(self, config: STCFormer.Config):
        super().__init__()
        width = config.width
        self.norm1 = nn.LayerNorm(width)
        self.attn = STCAttention(width, config.heads, config.layout)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, int(width * config.mlp_ratio), config.dropout, bias=False)

    def forward(self, tokens_BTJC: torch.Tensor) -> torch.Tensor:
        tokens_BTJC = tokens_BTJC + self.attn(self.norm1(tokens_BTJC))
        return tokens_BTJC + self.mlp(self.norm2(tokens_BTJC))


class STCFormer(Lifter):
    """An embedding of each joint, L blocks and a linear head (section 3.2)."""

    name = "stcformer"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """`width` C, `depth` L blocks, attention `heads`, MLP ratio and its dropout."""

        frames: Count = 243
        channels: Count = 2
        normalisation: str = "screen"
        frame_stride: Count = 3
        width: Count = 256
        depth: Depth = 6
        heads: Count = 8
        mlp_ratio: Ratio = 4.0
        dropout: Probability = 0.1

    layouts = tuple(_PARTS)
    tiny = {"frames": 9, "width": 32, "depth": 2}  # noqa: RUF012
    variants = {"large": {"width": 512}}  # noqa: RUF012
    predicts = "centre"
    learns_all = True
    other_keys = (
        ("mlpmixer.mixerblocks", "stcformer.stc_block"),
        ("layer_norm1", "layer_norm"),
        ("layer_norm2", "idle_norm"),
        ("cross_att", "stc_att"),
        ("gate_", "sep2_"),
        ("mlp1", "mlp"),
        ("pose_lift", "regress_head"),
    )
    authors_keys = (
        ("stcformer.stc_block", "blocks"),
        ("stc_att.layer_norm", "norm1"),
        ("layer_norm", "norm2"),
        ("stc_att", "attn"),
        ("sep2_s", "spatial.local"),
        ("sep2_t", "temporal.local"),
        ("attn.emb", "attn.parts"),
        ("pose_emb", "embed"),
        ("regress_head", "head"),
    )

    def __init__(self, config: Config):
        super().__init__(config)
        self.embed = nn.Linear(config.channels, config.width, bias=False)
        self.act = nn.GELU()
        self.blocks = nn.Sequential(*(STCBlock(config) for _ in range(config.depth)))
        self.head = nn.Linear(config.width, 3, bias=False)

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return 1, None

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.act(self.embed(keypoints_BTJC))))

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        width, channels = tensors["embed.weight"].shape
        return {
            "layout": "mpi-inf-3dhp17" if _is_earlier(tensors) else "h36m17",
            "channels": channels,
            "width": width,
            "depth": count_blocks(tensors, "blocks"),
            "heads": width // 2 // tensors["blocks.0.attn.parts.weight"].shape[1],
            "mlp_ratio": tensors["blocks.0.mlp.fc1.weight"].shape[0] / width,
        }

    @classmethod
    def from_authors(cls, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Theirs is one `qkv`, whose rows take turns at q, k and v, and a `proj` of both pathways head by head.

        The earlier network divides q.k by the square root of C, and has norms and parts that it does not use.
        """
        query_scale = 0.5**0.5 if _is_earlier(tensors) else 1.0
        ours = {}
        for key, tensor in tensors.items():
            if ".attn.qkv." in key:
                scale_3 = tensor.new_tensor([query_scale, 1, 1]).view(3, *[1] * (tensor.ndim - 1))
                pathways = (tensor.unflatten(0, (2, -1, 3)) * scale_3).transpose(1, 2).flatten(1, 2)
                for pathway, rows in zip(("spatial", "temporal"), pathways, strict=True):
                    ours[key.replace("qkv", f"{pathway}.qkv")] = rows
            elif key.endswith(".attn.proj.weight"):
                head_width = tensors[key.replace("proj", "parts")].shape[1]
                ours[key] = tensor.unflatten(1, (-1, 2, head_width)).transpose(1, 2).flatten(1)
            elif key.endswith(".parts.weight"):
                ours[key] = tensor[:_PART_COUNT]
            elif ".idle_norm." not in key:
                ours[key] = tensor
        return ours


def _is_earlier(tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether a checkpoint is of the network that the authors trained on MPI-INF-3DHP."""
    return any(".idle_norm." in key for key in tensors)
