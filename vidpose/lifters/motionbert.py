"""MotionBERT: A Unified Perspective on Learning Human Motion Representations.

Zhu, Ma, Liu, Liu, Wu, Wang, ICCV 2023. The lifter is the paper's DSTformer (section 3.2, Fig. 2): N modules of two
streams each, one that attends over joints and then over time, and one the other way round, fused by weights that every
token has of its own (eq. 4 and 5). A linear layer with tanh makes of the last features the motion representation E,
which the paper's other tasks start from, and another linear layer the joints. N = 5, width C_f = 512, C_e = 512,
T = 243 (section 4.1), 42.5 M parameters; the authors' "Lite" network is half as wide, and has 16.0 M.

Where the paper and the released network differ we follow the network, whose weights can be imported: the paper puts
the layer norms after attention and MLP, the network before them, and one more at the end.

Shape suffixes: B batch, T frames, J joints, C channels, D width, E width of the representation.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Depth, Ratio
from vidpose.lifters.lifter import Lifter, LifterConfig, layouts_of
from vidpose.lifters.transformer import AdaptiveFusion, TransformerBlock

_STD = 0.02
"""Standard deviation of fresh weights and positions in the authors' network."""


class MotionBERT(Lifter):
    """The dual-stream spatio-temporal Transformer (section 3.2)."""

    name = "motionbert"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """`width` C_f, `representation` C_e, `depth` N dual-stream modules, attention `heads` h and MLP ratio."""

        frames: Count = 243
        normalisation: str = "screen"
        units: Literal["metres", "image"] = "image"
        width: Count = 512
        representation: Count = 512
        depth: Depth = 5
        heads: Count = 8
        mlp_ratio: Ratio = 2.0

    tiny = {"frames": 9, "width": 16, "representation": 24, "depth": 2}  # noqa: RUF012
    variants = {"lite": {"width": 256, "mlp_ratio": 4.0}}  # noqa: RUF012
    other_keys = (
        ("backbone.", ""),
        ("spat_embed", "pos_embed"),
        ("attn_regress", "ts_attn"),
        ("mlp_s.0", "mlp_s.fc1"),
        ("mlp_s.2", "mlp_s.fc2"),
        ("mlp_t.0", "mlp_t.fc1"),
        ("mlp_t.2", "mlp_t.fc2"),
        ("head.pre_logits", "pre_logits"),
        ("head.fc", "head"),
    )
    authors_keys = (
        ("pos_embed", "spatial_positions"),
        ("temp_embed", "temporal_positions"),
        ("joints_embed", "embed"),
        ("norm1_s", "spatial.norm1"),
        ("attn_s", "spatial.attn"),
        ("norm2_s", "spatial.norm2"),
        ("mlp_s", "spatial.mlp"),
        ("norm1_t", "temporal.norm1"),
        ("attn_t", "temporal.attn"),
        ("norm2_t", "temporal.norm2"),
        ("mlp_t", "temporal.mlp"),
        ("ts_attn", "fusions"),
        ("pre_logits.fc", "representation"),
    )

    def __init__(self, config: Config):
        super().__init__(config)
        width = config.width

        def stream(*order: str) -> nn.Sequential:
            return nn.Sequential(
                OrderedDict(
                    (axis, TransformerBlock(width, config.heads, config.mlp_ratio, temporal=axis == "temporal"))
                    for axis in order
                )
            )

        self.embed = nn.Linear(config.channels, width)
        self.spatial_positions = nn.Parameter(torch.empty(1, len(self.layout), width))
        self.temporal_positions = nn.Parameter(torch.empty(1, config.frames, 1, width))
        self.blocks_st = nn.ModuleList(stream("spatial", "temporal") for _ in range(config.depth))
        self.blocks_ts = nn.ModuleList(stream("temporal", "spatial") for _ in range(config.depth))
        self.fusions = nn.ModuleList(AdaptiveFusion(width) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.representation = nn.Linear(width, config.representation)
        self.head = nn.Linear(config.representation, 3)
        self.initialise()

    def initialise(self) -> None:
        """Fresh weights as the authors draw them."""
        nn.init.trunc_normal_(self.spatial_positions, std=_STD)
        nn.init.trunc_normal_(self.temporal_positions, std=_STD)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=_STD)
                nn.init.zeros_(module.bias)

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        return self.head(self.represent(keypoints_BTJC))

    def represent(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        """The motion representation E: (B, T, J, C) -> (B, T, J, E), each number within (-1, 1)."""
        frames = keypoints_BTJC.shape[1]
        tokens_BTJD = self.embed(keypoints_BTJC) + self.spatial_positions + self.temporal_positions[:, :frames]
        for block_st, block_ts, fusion in zip(self.blocks_st, self.blocks_ts, self.fusions, strict=True):
            tokens_BTJD = fusion(block_st(tokens_BTJD), block_ts(tokens_BTJD))
        return self.representation(self.norm(tokens_BTJD)).tanh()

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        width, channels = tensors["embed.weight"].shape
        return {
            **layouts_of(tensors["spatial_positions"].shape[1]),
            "frames": tensors["temporal_positions"].shape[1],
            "channels": channels,
            "width": width,
            "representation": tensors["representation.weight"].shape[0],
            "depth": count_blocks(tensors, "blocks_st"),
            "mlp_ratio": tensors["blocks_st.0.spatial.mlp.fc1.weight"].shape[0] / width,
        }
