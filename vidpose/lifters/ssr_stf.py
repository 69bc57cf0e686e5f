"""Optimizing Local-Global Dependencies for Accurate 3D Human Pose Estimation (SSR-STF).

Xu, Zhang, Ye, Gan, Zhang, Yang, arXiv 2412.19676. Two streams in each of N blocks (section III, Fig. 2): SSRFormers
weigh local detail by large-kernel attention, STFormers attend globally, and an adaptive fusion joins them. Base:
N = 12, C = 256, C_h = 512; small: N = 16, C = 128, C_h = 512 (section IV.E). T = 243.

The authors have published no code. Table IV's parameter counts (M) are the check; this file has

    N            6     8     10    12    12     12     14    16
    C            256   256   256   256   256    256    256   128
    C_h          512   512   512   512   256    1024   512   512
    Table IV     18.4  24.5  30.6  36.7  36.7   36.9   42.8  12.4
    here         18.4  24.5  30.6  36.7  36.6   36.8   42.8  12.4

What the paper leaves open, and what we chose:

* STC is reference [17]'s attention, which is STCFormer's as released, with its depthwise convolutions and part
  embedding: with them six of the eight counts above agree to the last digit, without them five. d_K of eq. 9 is there
  the width of all heads together.
* Eq. 2 and 8 write sigma(MLP(.)); we read the MetaFormer block the text cites [44]: sigma between the MLP's two layers,
  of ratio 4 by the counts.
* A block's stream is a spatial SSRFormer and then a temporal one, and two STFormers (sections III.B and III.C).
* The depthwise convolutions have biases and zero padding; attention has 8 heads; the fusion starts as the mean of the
  two streams, as MotionBERT's [18] does, which section III.D says it follows.
* Table V (c) replaces the two STFormers by a spatial and a temporal Transformer; (d) runs the local stream of a block
  and then the global one.
* Table VI's 11 x 1 has no second dimension, so neither DW_2 nor DWD_2; its 3 x 3 is one depthwise convolution.

Shape suffixes: B batch, T frames, J joints, C width, H width of the motion representation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from vidpose.common.settings import Count, Counts, Depth
from vidpose.lifters.lifter import Lifter, LifterConfig
from vidpose.lifters.stcformer import STCAttention
from vidpose.lifters.transformer import AdaptiveFusion, Attention, Mlp, TemporalAttention


class SSRA(nn.Module):
    """Skeleton selective refine attention: (B, T, J, C) -> the same shape (eq. 4 to 6).

    Args:
        kernel: (k1, d1, k2, d2) of Table VI; (k1, d1) without a second dimension; (k,) for a plain k x k kernel.
        temporal: the long side k1 lies along time, not along the joints.
    """

    def __init__(self, width: int, kernel: tuple[int, ...], temporal: bool):
        super().__init__()
        long, short = ((-1, 1), (1, -1)) if temporal else ((1, -1), (-1, 1))

        def depthwise(size: int, dilation: int, shape: tuple[int, int]) -> nn.Conv2d:
            """A kernel of `size` along the axis that is -1 in `shape`: (time, joints)."""
            time, joints = (size if axis == -1 else 1 for axis in shape)
            return nn.Conv2d(width, width, (time, joints), dilation=dilation, padding="same", groups=width)

        if len(kernel) == 1:
            self.depthwise = nn.Sequential(depthwise(kernel[0], 1, (-1, -1)))
        else:
            sides = list(zip(kernel[::2], kernel[1::2], (long, short), strict=False))
            self.depthwise = nn.Sequential(
                *(depthwise(2 * d - 1, 1, side) for _, d, side in sides),
                *(depthwise(k // d, d, side) for k, d, side in sides),
            )
        self.pointwise = nn.Linear(width, width)

    def forward(self, features_BTJC: torch.Tensor) -> torch.Tensor:
        # The reshapes the paper speaks of cost nothing: channels stay last in memory, and only the kernels turn.
        local_BCTJ = self.depthwise(features_BTJC.permute(0, 3, 1, 2))
        return self.pointwise(local_BCTJ.permute(0, 2, 3, 1)) * features_BTJC


class SSR(nn.Module):
    """The skeleton selective refine module: (B, T, J, C) -> the same shape (eq. 3)."""

    def __init__(self, width: int, kernel: tuple[int, ...], temporal: bool):
        super().__init__()
        self.enter = nn.Linear(width, width)
        self.attention = SSRA(width, kernel, temporal)
        self.leave = nn.Linear(width, width)

    def forward(self, features_BTJC: torch.Tensor) -> torch.Tensor:
        return features_BTJC + self.leave(self.attention(nn.functional.gelu(self.enter(features_BTJC))))


class Former(nn.Module):
    """A token mixer and an MLP, each after a layer norm and inside a residual (eq. 1, 2, 7 and 8)."""

    def __init__(self, width: int, mixer: nn.Module):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.mixer = mixer
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, features_BTJC: torch.Tensor) -> torch.Tensor:
        features_BTJC = features_BTJC + self.mixer(self.norm1(features_BTJC))
        return features_BTJC + self.mlp(self.norm2(features_BTJC))


class SsrStfBlock(nn.Module):
    """The local and the global stream, and what joins them: (B, T, J, C) -> the same shape (section III.A)."""

    def __init__(self, config: SSRSTF.Config):
        super().__init__()
        width, heads = config.width, config.heads
        self.streams = config.streams
        mixers: list[nn.Module]
        if config.streams != "global":
            mixers = [SSR(width, config.kernel, temporal) for temporal in (False, True)]
            self.local = nn.Sequential(*(Former(width, mixer) for mixer in mixers))
        if config.streams != "local":
            if config.attention == "stc":
                mixers = [STCAttention(width, heads, "h36m17") for _ in range(2)]
            else:
                mixers = [Attention(width, heads), TemporalAttention(width, heads)]
            self.global_ = nn.Sequential(*(Former(width, mixer) for mixer in mixers))
        if config.streams == "dual":
            # Eq. 10 and 11.
            self.fusion = AdaptiveFusion(width)

    def forward(self, features_BTJC: torch.Tensor) -> torch.Tensor:
        if self.streams == "local":
            return self.local(features_BTJC)
        if self.streams == "global":
            return self.global_(features_BTJC)
        if self.streams == "sequential":
            return self.global_(self.local(features_BTJC))
        return self.fusion(self.local(features_BTJC), self.global_(features_BTJC))


class SSRSTF(Lifter):
    """Dual-stream lifter, base size (section IV.E)."""

    name = "ssr-stf"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """Table IV's depth N, width C and representation C_h, Table VI's `kernel`, and Table V's switches.

        `streams`: "dual", "local" (SSRFormers alone), "global" (STFormers alone) or "sequential". `attention` of the
        global stream: "stc", or "spatial-temporal" for ordinary Transformers.
        """

        frames: Count = 243
        channels: Count = 3
        normalisation: str = "screen"
        width: Count = 256
        depth: Depth = 12
        representation: Count = 512
        heads: Count = 8
        kernel: Counts = (35, 3, 11, 2)
        streams: str = "dual"
        attention: str = "stc"

    layouts = ("h36m17",)
    tiny = {"frames": 9, "width": 16, "depth": 2, "representation": 24}  # noqa: RUF012
    variants = {  # noqa: RUF012
        **{f"table4-depth-{depth}": {"depth": depth} for depth in (6, 8, 10, 14)},
        "table4-representation-256": {"representation": 256},
        "table4-representation-1024": {"representation": 1024},
        "table5-a": {"streams": "global"},
        "table5-b": {"streams": "local"},
        "table5-c": {"attention": "spatial-temporal"},
        "table5-d": {"streams": "sequential"},
        "table6-35x35": {"kernel": (35, 3, 35, 3)},
        "table6-23x7": {"kernel": (23, 3, 7, 2)},
        "table6-11x11": {"kernel": (11, 2, 11, 2)},
        "table6-11x1": {"kernel": (11, 2)},
        "table6-3x3": {"kernel": (3,)},
    }

    def __init__(self, config: Config):
        super().__init__(config)
        self.embed = nn.Linear(config.channels, config.width)
        self.positions = nn.Parameter(torch.zeros(1, len(self.layout), config.width))
        self.blocks = nn.Sequential(*(SsrStfBlock(config) for _ in range(config.depth)))
        self.representation = nn.Linear(config.width, config.representation)
        self.head = nn.Linear(config.representation, 3)

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return 1, None

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        return self.head(self.represent(keypoints_BTJC))

    def represent(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        """The motion representation E: (B, T, J, C) -> (B, T, J, H) (section III.A)."""
        return self.representation(self.blocks(self.embed(keypoints_BTJC) + self.positions)).tanh()


class SSRSTFSmall(SSRSTF):
    """Deeper, but half as wide (section IV.E)."""

    name = "ssr-stf-small"

    @dataclass(frozen=True)
    class Config(SSRSTF.Config):
        """As the base's."""

        width: Count = 128
        depth: Depth = 16

    variants = {}  # noqa: RUF012
