"""POT: Pose-Oriented Transformer with Uncertainty-Guided Refinement for 2D-to-3D Human Pose Estimation.

Li et al., AAAI 2023 (arXiv 2302.07408). Frame by frame, in two stages. POT is a Transformer over joints: positions of
each joint and of its distance from the root (eq. 5), attention with a learnt bias for the distance between two joints
(eq. 6), L1 = 12 layers (eq. 7 and 8) and a head. The refinement, UGRN, sees that pose and the keypoints again (eq. 10).
Another head says how far off each coordinate may be, its spread. Joints of large spreads are attended to less (eq. 11),
and in training the pose is moved by as much at random (eq. 9). L2 = 3 layers and a head. Width 96, six heads, 0.98 M.

No code is public. The sizes in its Tables 4, 6 and 7 say that queries, keys and values have no bias, and that heads are
single layers. Left open, and chosen here: residuals are the usual ones, where eq. 3 and 8 together would add an MLP's
input twice; each layer has an MLP of eq. 6, as wide as there are heads, which ends without a bias that a softmax would
not see; dropout is where PoseFormer has it; a spread is a softplus and at least a millimetre. There are five groups of
distances, so that the wrists, five bones from the root, are with the elbows.

Training has two stages, too: POT alone (eq. 12), then refinement and spreads, while POT stays as it is (eq. 13 and 14).
The paper gives no unit. Metres make both terms of the second loss about as large, which it says that lambda = 0.001
does; of millimetres the first would be 100,000 times the second.

Shape suffixes: B batch, T frames, J joints, C channels, D width, N frames of all the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from msgspec import Meta
from torch import nn
from torch.nn.functional import softplus

from vidpose.common.settings import Count, Depth, Probability, Ratio
from vidpose.lifters.lifter import Lifter, LifterConfig
from vidpose.lifters.transformer import Attention, TransformerBlock

_GROUPS = 5
"""Of joints, by their distance from the root."""

_LEAST = 0.001
"""Metres that every coordinate may be off."""


def bones_between(parents: Sequence[int]) -> torch.Tensor:
    """(J, J): how many bones lie between two joints.

    Args:
        parents: of each joint; -1 for the root.
    """
    above = []
    for joint in range(len(parents)):
        path = []
        while joint >= 0:
            path.append(joint)
            joint = parents[joint]
        above.append(set(path))
    return torch.tensor([[len(one ^ other) for other in above] for one in above])


class PoseOrientedAttention(Attention):
    """Attention over joints with a bias for each distance (PO-SA, eq. 6): (N, J, D) -> (N, J, D)."""

    bones_JJ1: torch.Tensor

    def __init__(self, width: int, heads: int, dropout: float, bones_JJ: torch.Tensor):
        super().__init__(width, heads, qkv_bias=False, dropout=dropout)
        self.register_buffer("bones_JJ1", bones_JJ.float()[..., None], persistent=False)
        self.bias = nn.Sequential(nn.Linear(1, heads), nn.GELU(), nn.Linear(heads, heads, bias=False))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.attend(tokens, *self.project(tokens), self.bias(self.bones_JJ1).permute(2, 0, 1))


class GuidedBlock(TransformerBlock):
    """A block whose attention looks less at joints that may be far off (UG-SA, eq. 11)."""

    def __init__(self, config: POT.Config):
        super().__init__(config.width, config.heads, config.mlp_ratio, qkv_bias=False, dropout=config.dropout)

    def forward(self, tokens_NJD: torch.Tensor, spread_NJ3: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        inner_NJD = self.norm1(tokens_NJD)
        q, k, v = self.attn.project(inner_NJD)
        tokens_NJD = tokens_NJD + self.attn.attend(inner_NJD, q, k / spread_NJ3.sum(dim=-1)[:, None, :, None], v)
        return tokens_NJD + self.mlp(self.norm2(tokens_NJD))


class POT(Lifter):
    """POT and its refinement: (B, T, J, C) -> (B, T, J, 3), each frame on its own."""

    name = "pot"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """`width` C, `depth` L1, `refine_depth` L2 (0: POT alone, as stage I trains it), attention `heads`,
        `mlp_ratio`, `dropout`."""

        frames: Count = 1
        channels: Count = 2
        normalisation: str = "screen"
        width: Count = 96
        depth: Depth = 12
        refine_depth: Annotated[int, Meta(ge=0, le=256)] = 3
        heads: Count = 6
        mlp_ratio: Ratio = 1.5
        dropout: Probability = 0.25

    config: Config
    groups_J: torch.Tensor
    tiny = {"width": 12, "depth": 2}  # noqa: RUF012
    variants = {"small": {"width": 48}, "first-stage": {"refine_depth": 0}}  # noqa: RUF012

    def __init__(self, config: Config):
        super().__init__(config)
        width, joints = config.width, len(self.layout)
        bones_JJ = bones_between(self.layout.parents)
        root = self.layout.parents.index(-1)
        self.register_buffer("groups_J", bones_JJ[root].clamp_max(_GROUPS - 1), persistent=False)
        self.joint_positions = nn.Parameter(torch.empty(joints, width))
        self.group_positions = nn.Parameter(torch.empty(_GROUPS, width))
        self.embed = nn.Linear(config.channels, width)
        self.blocks = nn.Sequential(*(self._block(bones_JJ) for _ in range(config.depth)))
        self.head = nn.Linear(width, 3)
        if config.refine_depth:
            self.spread = nn.Linear(width, 3)
            self.refine_embed = nn.Linear(3 + config.channels, width)
            self.refine_blocks = nn.ModuleList(GuidedBlock(config) for _ in range(config.refine_depth))
            self.refine_head = nn.Linear(width, 3)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def _block(self, bones_JJ: torch.Tensor) -> TransformerBlock:
        config = self.config
        block = TransformerBlock(config.width, config.heads, config.mlp_ratio, dropout=config.dropout)
        block.attn = PoseOrientedAttention(config.width, config.heads, config.dropout, bones_JJ)
        return block

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return 1, None

    def freeze_first_stage(self) -> None:
        """Let POT learn no more, and answer as it will in use; what refines it does learn."""
        for part in (self.embed, self.blocks, self.head):
            part.requires_grad_(False).eval()
        self.joint_positions.requires_grad_(False)
        self.group_positions.requires_grad_(False)

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        return self.stages(keypoints_BTJC)[-1]

    def stages(self, keypoints_BTJC: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, T, J, 3) each: the pose of the first stage; and, with a refinement, how far off each of its coordinates
        may be, and the refined pose."""
        keypoints_NJC = keypoints_BTJC.flatten(0, 1)
        positions_JD = self.joint_positions + self.group_positions[self.groups_J]
        features_NJD = self.blocks(self.embed(keypoints_NJC) + positions_JD)
        found = [self.head(features_NJD)]
        if self.config.refine_depth:
            # In autocast a spread of a millimetre would be too coarse.
            spread_NJ3 = softplus(self.spread(features_NJD).float()) + _LEAST
            sampled_NJ3 = found[0] + spread_NJ3 * torch.randn_like(spread_NJ3) if self.training else found[0]
            tokens_NJD = self.refine_embed(torch.cat([sampled_NJ3, keypoints_NJC], dim=-1)) + positions_JD
            for block in self.refine_blocks:
                tokens_NJD = block(tokens_NJD, spread_NJ3)
            found += [spread_NJ3, self.refine_head(tokens_NJD)]
        return tuple(part_NJ3.unflatten(0, keypoints_BTJC.shape[:2]) for part_NJ3 in found)

    def predictions(
        self, keypoints_BTJC: torch.Tensor, joints_BTJD: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        """As every lifter's; or, given the true joints, the loss of the spreads (eq. 13) of each joint, (B, T, J), and
        the refined pose."""
        if joints_BTJD is None:
            return (self(keypoints_BTJC),)
        self.check_input(keypoints_BTJC)
        first_BTJ3, spread_BTJ3, refined_BTJ3 = self.stages(keypoints_BTJC)
        off_BTJ3 = (first_BTJ3 - joints_BTJD) / spread_BTJ3
        return off_BTJ3.square().sum(dim=-1) + spread_BTJ3.square().sum(dim=-1).log(), refined_BTJ3
