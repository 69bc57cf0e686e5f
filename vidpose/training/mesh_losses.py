"""The losses of a mesh head (`vidpose.lifters.mesh_head`).

SSR-STF (section IV.G) follows MotionBERT, whose released settings for Human3.6M are the weights that recipes have: of
millimetres 0.5 for joints and 10 for their velocities; 1000 for pose, 1 for shape, 20 for their norm. Here joints are
in metres, and their weights count in thousands.

Shape suffixes: B batch, T frames, K bones, P numbers of the shape, D 3.
"""

from __future__ import annotations

import torch

_TINY = 1e-12
"""So that the angle of a rotation that turns nothing has a gradient."""


def pose_error(predicted_BTKDD: torch.Tensor, true_BTKDD: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of the numbers of rotation matrices, of each bone against its parent."""
    return (predicted_BTKDD - true_BTKDD).abs().mean()


def shape_error(predicted_BP: torch.Tensor, true_BP: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of the shape's numbers."""
    return (predicted_BP - true_BP).abs().mean()


def angles_of(rotations: torch.Tensor) -> torch.Tensor:
    """(...) angles of (..., 3, 3) rotations, radians, 0 to pi."""
    # Twice the sine times the axis, and twice the cosine plus 1.
    skew = rotations - rotations.mT
    sine = (skew.square().sum(dim=(-1, -2)) / 2 + _TINY).sqrt()
    return torch.atan2(sine, rotations.diagonal(dim1=-2, dim2=-1).sum(dim=-1) - 1)


def parameter_norm(relative_BTKDD: torch.Tensor, shapes_BP: torch.Tensor) -> torch.Tensor:
    """Mean length of (theta, beta) over frames, with theta as axis times angle of all bones."""
    squares_BT = angles_of(relative_BTKDD).square().sum(dim=-1) + shapes_BP.square().sum(dim=-1)[:, None]
    return squares_BT.sqrt().mean()
