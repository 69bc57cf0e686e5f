"""Exploiting Temporal Contexts with Strided Transformer for 3D Human Pose Estimation.

Li, Liu, Ding, Liu, Wang, Yang, IEEE Transactions on Multimedia 2022. One token a frame (section III, Fig. 2): its
coordinates, embedded. A vanilla Transformer encoder of three layers relates all frames. A strided one then shrinks them
to one: its layers' MLPs end with a convolution over three frames that strides by 3, 9 and 13. Training puts a loss on
the poses of all frames, read from the first encoder, and on that of the centre frame, read from the second. T = 351,
width 256, MLPs of 512, eight heads, 4.35 M parameters.

Where the paper and the released network differ we follow the network, whose weights can be imported:

* The residual of a strided layer is every s-th frame, where the paper speaks of max pooling: theirs pools over one.
* The strided encoder adds positions of its own before each of its first three layers.
* Layer norms divide by the unbiased standard deviation plus 1e-6, outside the root.

A norm at the end of either encoder, which is in the authors' files but not in their computation, is not imported. The
refinement that the paper's results include is a network of its own, `pose_refiner.py`.

Shape suffixes: B batch, T frames, J joints, C channels, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import torch
from torch import nn

from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Counts, Depth, Probability
from vidpose.lifters.lifter import FrameEncoder, LifterConfig, input_shape, layouts_of
from vidpose.lifters.transformer import Attention, Mlp
from vidpose.lifters.videopose3d import check_window

_KNOWN_STRIDES = ((1, 3, 3), (3, 3, 3), (3, 3, 9), (3, 9, 9), (3, 9, 13))
"""Of the networks for 9, 27, 81, 243 and 351 frames."""


class FrameEmbedding(nn.Module):
    """The coordinates of a frame to one token, each frame on its own: (B, T, J, C) -> (B, T, D)."""

    def __init__(self, coordinates: int, width: int):
        super().__init__()
        self.fc1 = nn.Linear(coordinates, width)
        self.norm = nn.BatchNorm1d(width)
        self.drop = nn.Dropout(0.25)

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        features_ND = self.drop(self.norm(self.fc1(keypoints_BTJC.flatten(2).flatten(0, 1))).relu())
        return features_ND.view(*keypoints_BTJC.shape[:2], -1)


class UnbiasedLayerNorm(nn.Module):
    """A layer norm that divides by the unbiased standard deviation plus `eps`."""

    def __init__(self, width: int, eps: float = 1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, tokens_BTD: torch.Tensor) -> torch.Tensor:
        std_BT1, mean_BT1 = torch.std_mean(tokens_BTD, dim=-1, keepdim=True)
        return self.weight * (tokens_BTD - mean_BT1) / (std_BT1 + self.eps) + self.bias


class StridedMlp(Mlp):
    """An MLP whose second layer sees three frames and strides: (B, T, D) -> (B, T / stride, D), rounded up."""

    def __init__(self, width: int, hidden: int, dropout: float, stride: int):
        super().__init__(width, hidden, dropout, act=nn.ReLU)
        self.fc2 = nn.Conv1d(hidden, width, kernel_size=3, stride=stride, padding=1)

    def forward(self, tokens_BTD: torch.Tensor) -> torch.Tensor:
        hidden_BTD = self.drop(self.act(self.fc1(tokens_BTD)))
        return self.drop(self.fc2(hidden_BTD.transpose(1, 2)).transpose(1, 2))


class EncoderLayer(nn.Module):
    """Attention over all frames and an MLP, each after a norm and inside a residual: (B, T, D) -> (B, T / stride, D).

    Args:
        stride: of the MLP's convolution; None for an MLP of linear layers.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, stride: int | None = None):
        super().__init__()
        self.stride = stride
        self.norm1 = UnbiasedLayerNorm(width)
        self.attn = Attention(width, heads, dropout=dropout)
        self.norm2 = UnbiasedLayerNorm(width)
        self.mlp = StridedMlp(width, hidden, dropout, stride) if stride else Mlp(width, hidden, dropout, act=nn.ReLU)

    def forward(self, tokens_BTD: torch.Tensor) -> torch.Tensor:
        tokens_BTD = tokens_BTD + self.attn(self.norm1(tokens_BTD))
        return tokens_BTD[:, :: self.stride] + self.mlp(self.norm2(tokens_BTD))


class VanillaEncoder(nn.Module):
    """Layers that keep all frames, after positions: (B, T, D) -> (B, T, D)."""

    def __init__(self, config: StridedTransformer.Config):
        super().__init__()
        width, shape = config.width, (config.heads, config.hidden, config.dropout)
        self.positions = nn.Parameter(torch.randn(1, config.frames, width))
        self.layers = nn.Sequential(*(EncoderLayer(width, *shape) for _ in range(config.depth)))

    def forward(self, tokens_BTD: torch.Tensor) -> torch.Tensor:
        return self.layers(tokens_BTD + self.positions)


class StridedEncoder(nn.Module):
    """Layers that shrink the frames to one: (B, T, D) -> (B, 1, D).

    Each of the first three adds positions, of which it takes as many as there are frames left.
    """

    def __init__(self, config: StridedTransformer.Config):
        super().__init__()
        width, shape = config.width, (config.heads, config.hidden, config.dropout)
        self.positions = nn.ParameterList(torch.randn(1, config.frames, width) for _ in config.strides[:3])
        self.layers = nn.ModuleList(EncoderLayer(width, *shape, stride) for stride in config.strides)

    def forward(self, tokens_BTD: torch.Tensor) -> torch.Tensor:
        for index, layer in enumerate(self.layers):
            if index < len(self.positions):
                tokens_BTD = tokens_BTD + self.positions[index][:, : tokens_BTD.shape[1]]
            tokens_BTD = layer(tokens_BTD)
        return tokens_BTD


class PoseHead(nn.Module):
    """(B, T, D) -> (B, T, J, 3): batch normalisation and a linear layer."""

    def __init__(self, width: int, joints: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.fc = nn.Linear(width, joints * 3)

    def forward(self, tokens_BTD: torch.Tensor) -> torch.Tensor:
        return self.fc(self.norm(tokens_BTD.flatten(0, 1))).view(*tokens_BTD.shape[:2], -1, 3)


ENCODER_KEYS = (
    ("Transformer_reduce.model.", "strided."),
    ("strided.pos_embedding_1", "strided.positions.0"),
    ("strided.pos_embedding_2", "strided.positions.1"),
    ("strided.pos_embedding_3", "strided.positions.2"),
    ("Transformer.model.", "vanilla."),
    ("Transformer.pos_embedding", "vanilla.positions"),
    ("self_attn", "attn"),
    ("linears.3", "proj"),
    ("feed_forward.w_", "mlp.fc"),
    (".sublayer.0.norm.a_2", ".norm1.weight"),
    (".sublayer.0.norm.b_2", ".norm1.bias"),
    (".sublayer.1.norm.a_2", ".norm2.weight"),
    (".sublayer.1.norm.b_2", ".norm2.bias"),
    ("fcn_1.0.", "sequence_head.norm."),
    ("fcn_1.1.", "sequence_head.fc."),
    ("fcn.0.", "centre_head.norm."),
    ("fcn.1.", "centre_head.fc."),
)
"""`authors_keys` of all but the embedding."""


class StridedTransformer(FrameEncoder):
    """A vanilla and a strided Transformer encoder (section III): (B, T, J, C) -> (B, 1, J, 3)."""

    name = "strided-transformer"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """Settings of the network.

        `width` of the tokens, `hidden` width of the MLPs, `depth` of the vanilla encoder, `strides` of the strided one,
        whose product is `frames`, `heads` and `dropout` of either encoder.
        """

        frames: Count = 351
        channels: Count = 2
        normalisation: str = "screen"
        width: Count = 256
        hidden: Count = 512
        depth: Depth = 3
        strides: Counts = (3, 9, 13)
        heads: Count = 8
        dropout: Probability = 0.1

    config: Config
    Embedding: ClassVar[type[nn.Module]] = FrameEmbedding

    separate_input = True
    predicts = "centre"
    tiny = {"frames": 9, "width": 16, "hidden": 32, "depth": 2, "strides": (3, 3)}  # noqa: RUF012
    variants = {  # noqa: RUF012
        "27-frames": {"frames": 27, "strides": (3, 3, 3)},
        "81-frames": {"frames": 81, "strides": (3, 3, 9)},
        "243-frames": {"frames": 243, "strides": (3, 9, 9)},
    }
    authors_keys: ClassVar[Sequence[tuple[str, str]]] = (
        ("encoder.0.", "embed.fc1."),
        ("encoder.1.", "embed.norm."),
        *ENCODER_KEYS,
    )

    def __init__(self, config: Config):
        super().__init__(config)
        check_window(config.strides, config.frames)
        joints = len(self.layout)
        self.embed = self.Embedding(len(self.input_layout) * config.channels, config.width)
        self.vanilla = VanillaEncoder(config)
        self.strided = StridedEncoder(config)
        self.sequence_head = PoseHead(config.width, joints)
        self.centre_head = PoseHead(config.width, joints)

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return self.config.frames, self.config.frames

    def encode(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        return self.embed(keypoints_BTJC)

    def decode(self, features_BTD: torch.Tensor) -> torch.Tensor:
        return self.centre_head(self.strided(self.vanilla(features_BTD)))

    def predictions(self, keypoints_BTJC: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The poses of all frames, and that of the centre frame (the paper's full-to-single supervision)."""
        self.check_input(keypoints_BTJC)
        tokens_BTD = self.vanilla(self.embed(keypoints_BTJC))
        return self.sequence_head(tokens_BTD), self.centre_head(self.strided(tokens_BTD))

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        _, frames, width = tensors["vanilla.positions"].shape
        joints = tensors["centre_head.fc.weight"].shape[0] // 3
        input_joints, channels = input_shape(tensors["embed.fc1.weight"].shape[1], joints)
        settings = {
            **layouts_of(joints, input_joints),
            "frames": frames,
            "channels": channels,
            "width": width,
            "hidden": tensors["vanilla.layers.0.mlp.fc1.weight"].shape[0],
            "depth": count_blocks(tensors, "vanilla.layers"),
        }
        # No shape tells the strides: they are those of a known network, or else all the same.
        count = count_blocks(tensors, "strided.layers")
        for strides in ((round(frames ** (1 / count)),) * count, *_KNOWN_STRIDES):
            if len(strides) == count and prod(strides) == frames:
                settings["strides"] = strides
        return settings

    @classmethod
    def from_authors(cls, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Theirs has q, k and v apart, convolutions of width 1 for linear layers, and tensors that have no effect."""
        layers = count_blocks(tensors, "strided.layers")
        unused = ("vanilla.norm.", "strided.norm.", *(f"strided.positions.{index}" for index in range(layers, 3)))
        ours = {}
        for key, tensor in tensors.items():
            if ".linears.0." in key:
                parts = [tensors[key.replace("linears.0", f"linears.{part}")] for part in range(3)]
                ours[key.replace("linears.0", "qkv")] = torch.cat(parts)
            elif ".linears." not in key and not key.startswith(unused):
                ours[key] = tensor.squeeze(-1) if tensor.ndim == 3 and key.endswith("weight") else tensor
        return ours
