"""Training losses, one function each: (B, T, J, 3) prediction and target in metres to a scalar."""

import torch


def mpjpe(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean per-joint position error, the mean Euclidean distance (MixSTE, section 3.3)."""
    return (predicted - target).norm(dim=-1).mean()


def mpjve(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean per-joint velocity error: `mpjpe` of the differences between neighbouring frames (MixSTE, section 3.3)."""
    return mpjpe(predicted.diff(dim=1), target.diff(dim=1))
