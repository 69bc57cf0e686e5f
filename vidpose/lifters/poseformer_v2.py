"""PoseFormerV2: Exploring Frequency Domain for Efficient and Robust 3D Human Pose Estimation.

Zhao, Zheng, Liu, Wang, Chen, CVPR 2023. PoseFormer whose temporal Transformer sees few tokens of a long window (Fig.
4): the f frames at its centre, through the spatial Transformer, and the n lowest coefficients of the whole window's
discrete cosine transform (DCT), each embedded by one linear layer. The blocks of that Transformer treat the two kinds
apart after the attention: an MLP for the coefficients, and for the frames one between a DCT over the tokens and its
inverse (FreqMLP, Fig. 4 c). T = 243, f = n = 27, width 32 a joint and so 544 a token, four blocks and eight heads in
either Transformer, 14.4 M parameters.

Where paper and released network differ we follow the network: its blocks cut the row of tokens, coefficients first, in
the middle and not where the frames begin, which is another place unless f = n; and its DCT is not orthonormal but twice
the sum of the products with the cosines. So coefficients grow with T: no parameter depends on T, and the network takes
any, but it is at its best on windows as long as those of its training. Checkpoints do not tell T.

Shape suffixes: B batch, T frames, J joints, C channels, E width of a token, F central frames, K coefficients, N tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Depth, Probability, Ratio
from vidpose.lifters.lifter import Lifter, LifterConfig, layouts_of
from vidpose.lifters.poseformer import SpatialTransformer
from vidpose.lifters.transformer import Attention, DropPath, Mlp, drop_path_rates


def dct_matrix(coefficients: int, length: int) -> torch.Tensor:
    """(coefficients, length): the lowest rows of the DCT-II without normalisation, 2 cos(pi k (2 t + 1) / (2 T))."""
    frequency_K1 = torch.arange(coefficients, dtype=torch.float64)[:, None]
    phase_T = (torch.arange(length, dtype=torch.float64) + 0.5) * (math.pi / length)
    return 2 * (frequency_K1 * phase_T).cos().float()


class FrequencyMlp(Mlp):
    """An MLP on the DCT of a sequence over its tokens: (B, N, E) -> (B, N, E), for one N (Fig. 4 c)."""

    dct_NN: torch.Tensor
    inverse_NN: torch.Tensor

    def __init__(self, width: int, hidden: int, length: int):
        super().__init__(width, hidden)
        dct_NN = dct_matrix(length, length)
        # The rows are orthogonal: 2 N is the square of their norm, and twice that the first's.
        scale_N = torch.full((length,), 0.5 / length)
        scale_N[:1] /= 2
        self.register_buffer("dct_NN", dct_NN, persistent=False)
        self.register_buffer("inverse_NN", dct_NN.T * scale_N, persistent=False)

    def forward(self, tokens_BNE: torch.Tensor) -> torch.Tensor:
        return self.inverse_NN @ super().forward(self.dct_NN @ tokens_BNE)


class FusionBlock(nn.Module):
    """Attention over all N tokens, then an MLP for the first half and a FreqMLP for the rest (Fig. 4 b)."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, tokens: int, drop_path: float):
        super().__init__()
        self.halves = tokens // 2, tokens - tokens // 2
        hidden = int(width * mlp_ratio)
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp1 = Mlp(width, hidden)
        self.norm3 = nn.LayerNorm(width, eps=1e-6)
        self.mlp2 = FrequencyMlp(width, hidden, self.halves[1])
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens_BNE: torch.Tensor) -> torch.Tensor:
        tokens_BNE = tokens_BNE + self.drop_path(self.attn(self.norm1(tokens_BNE)))
        first, second = tokens_BNE.split(self.halves, dim=1)
        first = first + self.drop_path(self.mlp1(self.norm2(first)))
        second = second + self.drop_path(self.mlp2(self.norm3(second)))
        return torch.cat([first, second], dim=1)


class PoseFormerV2(Lifter):
    """Central frames and low frequencies of the window, for the centre frame (Fig. 4 a)."""

    name = "poseformer-v2"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """Settings of the network.

        `kept_frames` f and `kept_coefficients` n; `width` of a joint's features, `depth` and `heads` of either
        Transformer, MLP ratio, highest drop path.
        """

        frames: Count = 243
        channels: Count = 2
        normalisation: str = "screen"
        kept_frames: Count = 27
        kept_coefficients: Count = 27
        width: Count = 32
        depth: Depth = 4
        heads: Count = 8
        mlp_ratio: Ratio = 2.0
        drop_path: Probability = 0.1

    config: Config
    dct_KT: torch.Tensor
    predicts = "centre"
    # An odd number of tokens, of which the middle is not where the frames begin.
    tiny = {"frames": 9, "kept_frames": 3, "kept_coefficients": 4, "width": 8, "depth": 2}  # noqa: RUF012
    variants = {  # noqa: RUF012
        "27-frames-f1-n3": {"frames": 27, "kept_frames": 1, "kept_coefficients": 3},
        "27-frames-f3-n3": {"frames": 27, "kept_frames": 3, "kept_coefficients": 3},
        "81-frames-f1-n3": {"frames": 81, "kept_frames": 1, "kept_coefficients": 3},
        "81-frames-f3-n3": {"frames": 81, "kept_frames": 3, "kept_coefficients": 3},
        "81-frames-f9-n9": {"frames": 81, "kept_frames": 9, "kept_coefficients": 9},
    }
    authors_keys = (
        ("Joint_embedding", "spatial.embed"),
        ("Spatial_pos_embed", "spatial.positions"),
        ("Spatial_blocks", "spatial.layers"),
        ("Spatial_norm", "spatial.norm"),
        ("Freq_embedding", "frequency_embed"),
        ("Temporal_pos_embed_", "frequency_positions"),
        ("Temporal_pos_embed", "temporal_positions"),
        ("blocks", "fusion_layers"),
        ("Temporal_norm", "fusion_norm"),
        ("weighted_mean_.", "temporal_mean."),
        ("weighted_mean.", "frequency_mean."),
    )

    def __init__(self, config: Config):
        super().__init__(config)
        joints, frames, coefficients = len(self.layout), config.kept_frames, config.kept_coefficients
        width, heads, mlp_ratio = joints * config.width, config.heads, config.mlp_ratio
        rates = drop_path_rates(config.drop_path, config.depth)
        self.register_buffer("dct_KT", dct_matrix(coefficients, config.frames), persistent=False)
        self.spatial = SpatialTransformer(config.channels, joints, config.width, heads, mlp_ratio, rates)
        self.frequency_embed = nn.Linear(joints * config.channels, width)
        self.temporal_positions = nn.Parameter(torch.zeros(1, frames, width))
        self.frequency_positions = nn.Parameter(torch.zeros(1, coefficients, width))
        self.fusion_layers = nn.Sequential(
            *(FusionBlock(width, heads, mlp_ratio, coefficients + frames, drop_path=rate) for rate in rates)
        )
        self.fusion_norm = nn.LayerNorm(width, eps=1e-6)
        self.frequency_mean = nn.Conv1d(coefficients, 1, kernel_size=1)
        self.temporal_mean = nn.Conv1d(frames, 1, kernel_size=1)
        self.head = nn.Sequential(nn.LayerNorm(2 * width), nn.Linear(2 * width, joints * 3))

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return max(self.config.kept_frames, self.config.kept_coefficients), None

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        tokens_BNE = torch.cat([self.low_frequencies(keypoints_BTJC), self.central_frames(keypoints_BTJC)], dim=1)
        tokens_BNE = self.fusion_norm(self.fusion_layers(tokens_BNE))
        coefficients_BKE = tokens_BNE[:, : self.config.kept_coefficients]
        frames_BFE = tokens_BNE[:, self.config.kept_coefficients :]
        means_B1E = torch.cat([self.frequency_mean(coefficients_BKE), self.temporal_mean(frames_BFE)], dim=-1)
        return self.head(means_B1E).unflatten(-1, (-1, 3))

    def low_frequencies(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        """(B, T, J, C) -> (B, K, E): tokens of the coefficients that pass the low-pass filter."""
        length = keypoints_BTJC.shape[1]
        built_for = self.dct_KT.shape[1]
        dct_KT = self.dct_KT if length == built_for else dct_matrix(len(self.dct_KT), length).to(self.dct_KT)
        return self.frequency_embed(dct_KT @ keypoints_BTJC.flatten(2)) + self.frequency_positions

    def central_frames(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        """(B, T, J, C) -> (B, F, E): tokens of the frames around the centre."""
        kept = self.config.kept_frames
        central_BFJC = keypoints_BTJC.narrow(1, (keypoints_BTJC.shape[1] - kept) // 2, kept)
        return self.spatial(central_BFJC) + self.temporal_positions

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        width, channels = tensors["spatial.embed.weight"].shape
        return {
            **layouts_of(tensors["spatial.positions"].shape[1]),
            "channels": channels,
            "kept_frames": tensors["temporal_positions"].shape[1],
            "kept_coefficients": tensors["frequency_positions"].shape[1],
            "width": width,
            "depth": count_blocks(tensors, "fusion_layers"),
            "mlp_ratio": tensors["spatial.layers.0.mlp.fc1.weight"].shape[0] / width,
        }
