"""How sure a lifter is of its answer: a small network beside a finished one.

Kendall and Gal, "What uncertainties do we need in Bayesian deep learning for computer vision?", NIPS 2017: a network
also answers how far off it expects to be (their heteroscedastic aleatoric uncertainty), and learns that by the
likelihood of its errors; here by Laplace's distribution, since errors of depth are mostly small and at times large.
Theirs is one network for both. Here the lifter is finished and stays as it is, so that any can get a doubt, and none is
changed by it.

Shape suffixes: N frames, J joints, C channels, D the 3 of a position.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from vidpose.lifters.normalisation import person

_UNIT = 0.2
"""Metres that the answer is divided by, to be of about the size of 1."""

_USUAL = 0.05
"""Metres of doubt to begin with."""


class Doubt(nn.Module):
    """From a frame's keypoints and the lifter's answer to how far each bone of it may be off.

    Args:
        coordinates: numbers of a frame's keypoints: joints times channels.
        joints: of the answer.
        width: of both hidden layers.
    """

    def __init__(self, coordinates: int, joints: int, width: int):
        super().__init__()
        self.linear1 = nn.Linear(coordinates + 3 * joints, width)
        self.linear2 = nn.Linear(width, width)
        self.linear3 = nn.Linear(width, 2 * joints)

    def forward(self, keypoints_NJC: torch.Tensor, joints_NJD: torch.Tensor) -> torch.Tensor:
        """(N, J, 2) standard deviations in metres, of each joint against its parent: across the ray to the person (of
        each of the two directions), and along it. Those of the root mean nothing.

        Args:
            keypoints_NJC: of the frames, in any place and scale.
            joints_NJD: the lifter's answer, metres relative to the root.
        """
        keypoints_NJC = person(keypoints_NJC[:, None], (1, 1))[:, 0]
        input_NI = torch.cat([keypoints_NJC.flatten(1), joints_NJD.flatten(1) / _UNIT], dim=1)
        features_ND = nn.functional.gelu(self.linear2(nn.functional.gelu(self.linear1(input_NI))))
        # Within e^-3 to e^3 of the usual: from 2.5 mm to a metre.
        return _USUAL * (3 * torch.tanh(self.linear3(features_ND) / 3)).exp().unflatten(1, (-1, 2))

    def predictions(self, keypoints_NJC: torch.Tensor, joints_NJD: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What training puts a loss on."""
        return (self(keypoints_NJC, joints_NJD),)


def surprise(doubts_NJ2: torch.Tensor, off_NJD: torch.Tensor) -> torch.Tensor:
    """(N, J) the negative log likelihood of errors by Laplace's distribution, but for a constant.

    Args:
        doubts_NJ2: as `Doubt` gives them.
        off_NJD: errors in the ray's frame, metres.
    """
    across_NJ, along_NJ = doubts_NJ2.unbind(-1)
    spreads_NJD = torch.stack([across_NJ, across_NJ, along_NJ], dim=-1)
    return (spreads_NJD.log() + math.sqrt(2) * off_NJD.abs() / spreads_NJD).sum(dim=-1)
