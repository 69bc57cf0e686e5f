"""What every network that sees clips is, the loss it is trained with, and how one is made by its name.

Shape suffixes: B clips, V views, F frames, N pictures, C colours, H and W pixels, D width of a token, J joints,
X = 2 coordinates (x, y).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.checkpoint import checkpoint

from vidpose.body.skeletons import Skeleton, get_skeleton
from vidpose.common.errors import VidposeError, one_line
from vidpose.common.registry import Registry
from vidpose.common.settings import Count
from vidpose.keypoints.keypoint_network import NetworkConfig, Processing
from vidpose.keypoints.network_table import CLIP_NETWORKS
from vidpose.weights.catalogue import classes

_NEAR = 0.05
"""Of the crop's side: a score is exp(-d^2 / (2 * this^2)) of a point expected to be d off, as in COCO's OKS."""

_SCORE_WEIGHT = 0.01
"""In the loss, so that the points decide: their part of it falls to a hundredth and less."""


class ClipNetwork(nn.Module):
    """Clips of one person in, joints out: (B, V, F, 3, H, W) standardised RGB -> points and scores of every picture.

    A subclass has a `name`, that of its entry in `network_table.py`, and a `Config`, of which it takes one; it sets
    `spatial`, a module from (N, 3, H, W) pictures to (N, D) tokens.

    Attributes:
        frames, views: the longest window and the most views it takes.
        tiny: settings of the smallest sensible network, for tests.
        pictures_at_once: in training, of how many pictures activations are kept; those of the others are computed again
            when gradients are. 0: all are kept.
        backbones: names of published ImageNet weights that `start_from` takes; none where none are known.
    """

    @dataclass(frozen=True)
    class Config(NetworkConfig):
        """The joint layout, and `size`, the height and width of a crop in pixels."""

        layout: str = "h36m17"
        size: Count = 224

    name: ClassVar[str]
    tiny: ClassVar[Mapping[str, Any]] = {}
    backbones: ClassVar[tuple[str, ...]] = ()

    spatial: nn.Module
    frames: int = 1
    views: int = 1
    pictures_at_once: int = 0

    def __init__(self, config: Config, width: int):
        super().__init__()
        self.config = config
        self.layout: Skeleton = get_skeleton(config.layout)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, 3 * len(self.layout))
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    @property
    def processing(self) -> Processing:
        """How crops are cut for it."""
        return Processing(input_size=(self.config.size, self.config.size), alignment="centre", flip=False)

    def forward(
        self, crops_BVFCHW: torch.Tensor, present_BVF: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Find the joints in every picture of a clip.

        Args:
            crops_BVFCHW: pictures taken at the same moments by up to `views` cameras, each with its place in E_3D.
            present_BVF: bool, which of them there are; None: all. The others are not looked at.

        Returns:
            (B, V, F, J, 2) points as fractions of the crop, (0, 0) its upper left corner, and (B, V, F, J) logits of
            scores; of pictures that are not present they mean nothing.

        Raises:
            VidposeError: more views or frames than the network takes, crops of another size, or nothing is present.
        """
        self._check(crops_BVFCHW, present_BVF)
        if present_BVF is None:
            present_BVF = torch.ones(crops_BVFCHW.shape[:3], dtype=torch.bool, device=crops_BVFCHW.device)
            tokens_BVFD = self.tokens(crops_BVFCHW.flatten(0, 2)).unflatten(0, present_BVF.shape)
        else:
            tokens_ND = self.tokens(crops_BVFCHW[present_BVF])
            zeros_BVFD = tokens_ND.new_zeros(*present_BVF.shape, tokens_ND.shape[-1])
            tokens_BVFD = zeros_BVFD.index_put((present_BVF,), tokens_ND)
        return self.decode(tokens_BVFD, present_BVF)

    def tokens(self, pictures_NCHW: torch.Tensor) -> torch.Tensor:
        """A token of every picture, (N, D), as `spatial` gives them."""
        if not (self.training and self.pictures_at_once and torch.is_grad_enabled()):
            return self.spatial(pictures_NCHW)
        parts = pictures_NCHW.split(self.pictures_at_once)
        return torch.cat([checkpoint(self.spatial, part, use_reentrant=False) for part in parts])

    predictions = forward
    """What training puts a loss on (`regression_loss`)."""

    def start_from(self, *backbones: Mapping[str, torch.Tensor]) -> None:
        """Take the weights of `backbones` over, which are in torchvision's names.

        Raises:
            VidposeError: they are of other networks or sizes.
        """
        try:
            self._start_from(*backbones)
        except RuntimeError as error:
            raise VidposeError(f"not weights that {self.name} can start from ({one_line(error)})") from None

    def _start_from(self, *backbones: Mapping[str, torch.Tensor]) -> None:
        raise NotImplementedError

    def decode(self, tokens_BVFD: torch.Tensor, present_BVF: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What `forward` gives, from the spatial module's tokens: so windows that overlap can share them."""
        answers_BVFJ3 = self.head(self.norm(self.related(tokens_BVFD, present_BVF))).unflatten(-1, (-1, 3))
        return answers_BVFJ3[..., :2] + 0.5, answers_BVFJ3[..., 2]

    def related(self, tokens_BVFD: torch.Tensor, present_BVF: torch.Tensor) -> torch.Tensor:
        """Tokens that know of the others: here they remain as they are."""
        return tokens_BVFD

    def _check(self, crops_BVFCHW: torch.Tensor, present_BVF: torch.Tensor | None) -> None:
        _, views, frames, *picture = crops_BVFCHW.shape
        for what, found, most in (("views", views, self.views), ("frames", frames, self.frames)):
            if found > most:
                raise VidposeError(f"{self.name}: a clip of {found} {what}, where at most {most} are due")
        due = [3, self.config.size, self.config.size]
        if picture != due:
            raise VidposeError(f"{self.name}: crops of shape {tuple(picture)}, where {tuple(due)} is due")
        if present_BVF is not None and not present_BVF.any():
            raise VidposeError(f"{self.name}: there is nobody in any picture of the clip")


CLIP_CLASSES: Registry[ClipNetwork] = Registry("clip network", classes(CLIP_NETWORKS))
clip_network_names, clip_network_class = CLIP_CLASSES.names, CLIP_CLASSES.find
create_clip_network = CLIP_CLASSES.create


def regression_loss(
    points_BVFJX: torch.Tensor, logits_BVFJ: torch.Tensor, truth_BVFJX: torch.Tensor, weights_BVFJ: torch.Tensor
) -> torch.Tensor:
    """Mean distance of the points along either axis, as fractions of the crop, plus how wrong the scores are.

    The paper names no loss. A score learns by cross-entropy what its point deserves, which for that is held fixed.

    Args:
        truth_BVFJX: true points; where the weight is 0, anything.
        weights_BVFJ: of each joint; 0 for joints that are not annotated, and pictures that are not present.
    """
    offsets_BVFJX = torch.where((weights_BVFJ > 0)[..., None], points_BVFJX - truth_BVFJX, 0)
    deserved_BVFJ = torch.exp(-offsets_BVFJX.detach().square().sum(dim=-1) / (2 * _NEAR**2))
    wrong_BVFJ = binary_cross_entropy_with_logits(logits_BVFJ, deserved_BVFJ, reduction="none")
    losses_BVFJ = offsets_BVFJX.abs().mean(dim=-1) + _SCORE_WEIGHT * wrong_BVFJ
    return (weights_BVFJ * losses_BVFJ).sum() / weights_BVFJ.sum().clamp(min=1e-9)
