"""MHFormer: Multi-Hypothesis Transformer for 3D Human Pose Estimation.

Li, Liu, Tang, Wang, Van Gool, CVPR 2022. Three hypotheses of the pose (section 3): three small Transformers, one on
the output of the other, attend over the coordinates of the joints, each a token of T numbers (multi-hypothesis
generation, section 3.2). Each one's output, embedded, is a hypothesis with a token a frame. Blocks of self-attention
inside each hypothesis (self-hypothesis refinement, 3.4) and of attention between them (cross-hypothesis interaction,
3.5) follow, both with an MLP over all three; then normalisation and one linear layer. T = 351, width 512, four, two and
one of these blocks, 31.5 M parameters. Trained on all frames of the window, used for the centre one.

The released network, which we follow, updates the hypotheses of a cross-hypothesis block one after the other, so that
the second and third see the first as it has become; and for T <= 27 it normalises the embeddings over the batch and
rectifies them. Nine heads in the generation need a T that nine divides. Its biases of the keys in the cross-hypothesis
attention, which cancel in the softmax, are neither here nor imported.

Shape suffixes: B batch, T frames, J joints, C channels, N = J C coordinates, D width, H = 3 D.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Depth, Probability
from vidpose.lifters.lifter import Lifter, LifterConfig, input_shape, layouts_of
from vidpose.lifters.transformer import Attention, DropPath, Mlp, TransformerBlock, attention, drop_path_rates

_HYPOTHESES = 3


class HypothesisGenerator(nn.Module):
    """One level of the multi-hypothesis generation: (B, N, T) -> (B, N, T), attending over N (section 3.2)."""

    def __init__(self, coordinates: int, config: MHFormer.Config):
        super().__init__()
        frames, dropout = config.frames, config.dropout
        self.input_norm = nn.LayerNorm(frames)
        self.positions = nn.Parameter(torch.zeros(1, coordinates, frames))
        self.drop = nn.Dropout(dropout)
        self.layers = nn.Sequential(
            *(
                TransformerBlock(
                    frames, config.generation_heads, 2.0, dropout=dropout, attention_dropout=0.0, drop_path=rate
                )
                for rate in drop_path_rates(config.drop_path, config.generation_depth)
            )
        )
        self.norm = nn.LayerNorm(frames, eps=1e-6)

    def forward(self, series_BNT: torch.Tensor) -> torch.Tensor:
        tokens_BNT = self.drop(self.input_norm(series_BNT) + self.positions)
        return series_BNT + self.norm(self.layers(tokens_BNT))


class CrossAttention(nn.Module):
    """Multi-head attention whose queries, keys and values are three hypotheses, each normalised (section 3.5)."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        # What is added to all keys alike cancels in the softmax, so nothing is.
        self.norm_q, self.norm_k, self.norm_v = (
            nn.LayerNorm(width, eps=1e-6, bias=bias) for bias in (True, False, True)
        )
        self.linear_q, self.linear_k, self.linear_v = (
            nn.Linear(width, width, bias=bias) for bias in (True, False, True)
        )
        self.proj = nn.Linear(width, width)
        self.proj_drop = nn.Dropout(dropout)

    def forward(self, queries_BTD: torch.Tensor, keys_BTD: torch.Tensor, values_BTD: torch.Tensor) -> torch.Tensor:
        """(B, T, D) each -> (B, T, D)."""
        q, k, v = (
            projection_BTD.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection_BTD in (
                self.linear_q(self.norm_q(queries_BTD)),
                self.linear_k(self.norm_k(keys_BTD)),
                self.linear_v(self.norm_v(values_BTD)),
            )
        )
        return self.proj_drop(self.proj(attention(q, k, v).transpose(1, 2).flatten(2)))


class HypothesisMixer(nn.Module):
    """What both kinds of block end with: an MLP over the features of all hypotheses, inside a residual."""

    def __init__(self, width: int, hidden: int, dropout: float, drop_path: float):
        super().__init__()
        self.norm2 = nn.LayerNorm(_HYPOTHESES * width, eps=1e-6)
        self.mlp = Mlp(_HYPOTHESES * width, hidden, dropout)
        self.drop_path = DropPath(drop_path)

    def mix(self, hypotheses: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Three of (B, T, D) -> three of (B, T, D)."""
        features_BTH = torch.cat(tuple(hypotheses), dim=-1)
        features_BTH = features_BTH + self.drop_path(self.mlp(self.norm2(features_BTH)))
        return features_BTH.chunk(_HYPOTHESES, dim=-1)


class SelfHypothesisRefinement(HypothesisMixer):
    """Each hypothesis attends to itself (section 3.4): three of (B, T, D) -> three of (B, T, D)."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, drop_path: float):
        super().__init__(width, hidden, dropout, drop_path)
        self.norm1 = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in range(_HYPOTHESES))
        self.attn = nn.ModuleList(
            Attention(width, heads, dropout=dropout, attention_dropout=0.0) for _ in range(_HYPOTHESES)
        )

    def forward(self, hypotheses: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return self.mix(
            [
                tokens_BTD + self.drop_path(attn(norm(tokens_BTD)))
                for tokens_BTD, norm, attn in zip(hypotheses, self.norm1, self.attn, strict=True)
            ]
        )


class CrossHypothesisInteraction(HypothesisMixer):
    """Each hypothesis takes from itself what the others attend to (section 3.5): as `SelfHypothesisRefinement`."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, drop_path: float):
        super().__init__(width, hidden, dropout, drop_path)
        self.attn = nn.ModuleList(CrossAttention(width, heads, dropout) for _ in range(_HYPOTHESES))

    def forward(self, hypotheses: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        first, second, third = hypotheses
        first = first + self.drop_path(self.attn[0](second, third, first))
        second = second + self.drop_path(self.attn[1](first, third, second))
        third = third + self.drop_path(self.attn[2](first, second, third))
        return self.mix([first, second, third])


def embedding(coordinates: int, width: int, frames: int) -> nn.Module:
    """(B, N, T) -> (B, D, T), for each frame on its own (section 3.3)."""
    linear = nn.Conv1d(coordinates, width, kernel_size=1)
    if frames > 27:
        return linear
    return nn.Sequential(linear, nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.25))


class MHFormer(Lifter):
    """Three hypotheses, generated, refined and brought together (section 3)."""

    name = "mhformer"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """Settings of the network.

        `width` of a hypothesis' tokens, `hidden` width of the MLPs over all hypotheses, depths L1 of the generation and
        L2 of the refinement, heads of the generation and of all other attention, dropout of all but attention weights,
        highest drop path.
        """

        frames: Count = 351
        channels: Count = 2
        normalisation: str = "screen"
        width: Count = 512
        hidden: Count = 1024
        generation_depth: Depth = 4
        refinement_depth: Depth = 2
        generation_heads: Count = 9
        heads: Count = 8
        dropout: Probability = 0.1
        drop_path: Probability = 0.2

    separate_input = True
    predicts = "centre"
    learns_all = True
    # More than 27 frames, so that the embeddings are those of the default.
    tiny = {"frames": 36, "width": 16, "hidden": 32, "generation_depth": 1}  # noqa: RUF012
    variants = {"27-frames": {"frames": 27}, "81-frames": {"frames": 81}, "243-frames": {"frames": 243}}  # noqa: RUF012
    authors_keys = (
        ("Transformer_hypothesis.SHR_blocks", "refinement"),
        ("Transformer_hypothesis.CHI_blocks.0", "interaction"),
        ("Transformer_hypothesis.norm", "hypotheses_norm"),
        *(
            pair
            for theirs, ours in (("1", "0"), ("2", "1"), ("3", "2"))
            for pair in (
                (f"Transformer_encoder_{theirs}.pos_embed", f"generators.{ours}.positions"),
                (f"Transformer_encoder_{theirs}.blocks", f"generators.{ours}.layers"),
                (f"Transformer_encoder_{theirs}.norm", f"generators.{ours}.norm"),
                (f"norm_{theirs}.", f"generators.{ours}.input_norm."),
                (f"embedding_{theirs}.", f"embeddings.{ours}."),
                (f"Transformer_hypothesis.pos_embed_{theirs}", f"positions.{ours}"),
                (f"norm1_{theirs}.", f"norm1.{ours}."),
                (f"attn_{theirs}.", f"attn.{ours}."),
                (f"norm3_{theirs}1.", f"attn.{ours}.norm_q."),
                (f"norm3_{theirs}2.", f"attn.{ours}.norm_k."),
                (f"norm3_{theirs}3.", f"attn.{ours}.norm_v."),
            )
        ),
    )

    def __init__(self, config: Config):
        super().__init__(config)
        frames, width = config.frames, config.width
        coordinates = len(self.input_layout) * config.channels
        self.generators = nn.ModuleList(HypothesisGenerator(coordinates, config) for _ in range(_HYPOTHESES))
        self.embeddings = nn.ModuleList(embedding(coordinates, width, frames) for _ in range(_HYPOTHESES))
        self.positions = nn.ParameterList(torch.zeros(1, frames, width) for _ in range(_HYPOTHESES))
        self.drop = nn.Dropout(config.dropout)
        *rates, last = drop_path_rates(config.drop_path, config.refinement_depth + 1)
        shape = width, config.heads, config.hidden, config.dropout
        self.refinement = nn.Sequential(*(SelfHypothesisRefinement(*shape, rate) for rate in rates))
        self.interaction = CrossHypothesisInteraction(*shape, last)
        self.hypotheses_norm = nn.LayerNorm(_HYPOTHESES * width, eps=1e-6)
        self.regression = nn.Sequential(
            nn.BatchNorm1d(_HYPOTHESES * width), nn.Conv1d(_HYPOTHESES * width, len(self.layout) * 3, kernel_size=1)
        )

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return self.config.frames, self.config.frames

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        hypotheses = self.interaction(self.refinement(self.generate(keypoints_BTJC)))
        features_BTH = self.hypotheses_norm(torch.cat(hypotheses, dim=-1))
        return self.regression(features_BTH.transpose(1, 2)).transpose(1, 2).unflatten(-1, (-1, 3))

    def generate(self, keypoints_BTJC: torch.Tensor) -> list[torch.Tensor]:
        """(B, T, J, C) -> three hypotheses of (B, T, D) (sections 3.2 and 3.3)."""
        series_BNT = keypoints_BTJC.flatten(2).transpose(1, 2)
        hypotheses = []
        for generator, embed, positions in zip(self.generators, self.embeddings, self.positions, strict=True):
            series_BNT = generator(series_BNT)
            hypotheses.append(self.drop(embed(series_BNT).transpose(1, 2) + positions))
        return hypotheses

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        _, coordinates, frames = tensors["generators.0.positions"].shape
        joints = tensors["regression.1.weight"].shape[0] // 3
        input_joints, channels = input_shape(coordinates, joints)
        return {
            **layouts_of(joints, input_joints),
            "frames": frames,
            "channels": channels,
            "width": tensors["positions.0"].shape[2],
            "hidden": tensors["interaction.mlp.fc1.weight"].shape[0],
            "generation_depth": count_blocks(tensors, "generators.0.layers"),
            "refinement_depth": count_blocks(tensors, "refinement"),
        }

    @classmethod
    def from_authors(cls, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Without the biases of the keys in the cross-hypothesis attention, which have no effect."""
        return {key: tensor for key, tensor in tensors.items() if not key.endswith(("norm_k.bias", "linear_k.bias"))}
