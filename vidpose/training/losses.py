"""Training losses, one function each: (B, T, J, 3) prediction and target to a scalar.

Positions are relative to the root and in metres, unless a docstring says otherwise. Every loss averages over the batch;
those of velocity need two frames at least. Where a paper and its released code differ, the docstring says so, and which
of them this is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from vidpose.body.skeletons import Skeleton
from vidpose.common.errors import UsageError

JOINT_WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "uniform": {},
    "hossain": {"knee": 2.5, "elbow": 2.5, "ankle": 4, "wrist": 4},
    "hossain-code": {"knee": 2.5, "ankle": 2.5, "elbow": 4, "wrist": 4},
    "mixste": {"nose": 1.5, "head": 1.5, "head_top": 1.5, "knee": 2.5, "elbow": 2.5, "ankle": 4, "wrist": 4},
    "mixste-code": {
        "head": 1.5, "head_top": 1.5, "shoulder": 1.5, "knee": 2.5, "ankle": 2.5, "elbow": 4, "wrist": 4,
    },
}  # fmt: skip
"""How much each joint counts, by recipe; a joint that is not named counts 1.

`hossain`: Hossain and Little, sections 3 and 4: torso and head eta = 1, knees and elbows rho = 2.5, wrists and ankles
tau = 4. `mixste`: MixSTE, section 4.2: torso 1, head 1.5, middle of limbs 2.5, ends of limbs 4; that hips and shoulders
are torso, nose and top of the head are head, is our reading. The released code of both, `-code`, has knees and ankles
at 2.5, elbows and wrists at 4; MixSTE's leaves the nose at 1 and has the shoulders at 1.5.

Joints go by name, in any layout. MixSTE's code has a list for HumanEva too, but in the order of Human3.6M's joints: its
4s fall on the ankles, the right hip and the head, and the wrists count 1. It is not here.
"""


def joint_weights(name: str, layout: Skeleton) -> torch.Tensor:
    """(J,) weights of a layout's joints, by a name of `JOINT_WEIGHTS`.

    Raises:
        UsageError: there is no such name.
    """
    if name not in JOINT_WEIGHTS:
        raise UsageError(f"unknown joint weights {name!r}; known are {', '.join(JOINT_WEIGHTS)}")
    table = JOINT_WEIGHTS[name]
    return torch.tensor([table.get(j.removeprefix("left_").removeprefix("right_"), 1.0) for j in layout.joints])


def mpjpe(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean per-joint position error, the mean Euclidean distance (MixSTE, section 3.3)."""
    return (predicted - target).norm(dim=-1).mean()


def mpjve(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean per-joint velocity error: `mpjpe` of the differences between neighbouring frames (MixSTE, section 3.3).

    In metres a frame. Its weight in MixSTE, lambda_m, is 2 in the released code and 1 by the author's word (issue 3 of
    that repository); in MotionBERT and MotionAGFormer it is 20, of coordinates in the picture's scale.
    """
    return mpjpe(predicted.diff(dim=1), target.diff(dim=1))


def weighted_mpjpe(predicted: torch.Tensor, target: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean over joints i and frames j of w_i |p_ij - gt_ij| (MixSTE, eq. 10).

    Equation 10 squares the distance; the released code, this, and the measure's name do not. The weights are not
    normalised: MixSTE's make it about twice MPJPE. That code also multiplies the gradient of the whole loss by its
    value, which no paper mentions and Adam mostly undoes.

    Args:
        weights: (J,), or anything that broadcasts to (B, T, J).
    """
    return (weights * (predicted - target).norm(dim=-1)).mean()


def n_mpjpe(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """`mpjpe` after the best scale of each frame, s_t = sum_j p_tj . gt_tj / sum_j |p_tj|^2.

    Rhodin et al., "Unsupervised geometry-aware representation for 3D human pose estimation", ECCV 2018. A part of
    MotionBERT's loss with weight 0.5, in its released code. The gradient goes through the scale too.
    """
    dot_BT11 = (predicted * target).sum(dim=(2, 3), keepdim=True)
    # An output layer that starts at zero predicts a pose without size, which no scale mends.
    power_BT11 = predicted.square().sum(dim=(2, 3), keepdim=True).clamp_min(1e-12)
    return mpjpe(dot_BT11 / power_BT11 * predicted, target)


def mean_squared_error(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean of the squared differences of all coordinates, in the square of their unit (Hossain and Little, eq. 1).

    Equation 1, 1/(NT) sum_it |p_it - gt_it|^2, adds up the coordinates of a pose: it is 3 J times this, the mean that
    the released code takes, as `temporal_consistency` is of equation 2. So alpha : beta = 1 : 5 holds either way. The
    released code undoes the standardisation first, for millimetres: 10^6 times this of metres. The paper names no unit.
    Of standardised coordinates this is the loss of Martinez et al.
    """
    return (predicted - target).square().mean()


def temporal_consistency(predicted: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean of w_j (p_tj - p_(t-1)j)^2 over all coordinates (Hossain and Little, eq. 2; MixSTE, section 3.3, TCLoss).

    It pulls the prediction itself to rest, without asking the target. Equation 2 adds up the coordinates of a pose: it
    is 3 J times this, the mean that the released code of both papers takes. In the square of the positions' unit: the
    first code's is millimetres, with weight beta = 5 beside `mean_squared_error`; MixSTE's is metres, with weight
    lambda_t = 0.5 beside `weighted_mpjpe`.

    Args:
        weights: (J,), per joint group eta, rho and tau.
    """
    return (weights[:, None] * predicted.diff(dim=1).square()).mean()


def position_sum(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Sum over frames and joints of |p_tj - gt_tj|, mean over windows (SSR-STF, eq. 12, L_P): T J times `mpjpe`.

    Adam's steps are the same for either, apart from its epsilon, but a limit on the gradient's norm has to be T J times
    as high.
    """
    return (predicted - target).norm(dim=-1).sum(dim=(1, 2)).mean()


def velocity_sum(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """`position_sum` of the differences between neighbouring frames (SSR-STF, eq. 12): (T - 1) J times `mpjve`.

    Equation 13 is L_P + lambda of this. The paper does not give lambda; among means, `mpjpe` + lambda (T - 1) / T
    `mpjve` is proportional to it.
    """
    return position_sum(predicted.diff(dim=1), target.diff(dim=1))


def motion(predicted: torch.Tensor, target: torch.Tensor, intervals: Sequence[int] = (8, 12, 16, 24)) -> torch.Tensor:
    """Mean absolute error of the pairwise motion encoding p_tj x p_(t+i)j, mean over intervals i (motion loss).

    Wang, Yan, Xiong, Lin, "Motion guided 3D pose estimation from videos", ECCV 2020. MixSTE's Table 6 compares with it,
    and gives neither intervals nor weight; the intervals here are those of a public reimplementation
    (tamasino52/UGCN). In the square of the positions' unit. Intervals that a window is too short for are left out; one
    that is too short for all of them costs nothing.
    """
    fitting = [interval for interval in intervals if interval < predicted.shape[1]]
    errors = [(_moved(predicted, interval) - _moved(target, interval)).abs().mean() for interval in fitting]
    return torch.stack(errors).mean() if errors else 0 * predicted.sum()


def _moved(positions: torch.Tensor, interval: int) -> torch.Tensor:
    return torch.linalg.cross(positions[:, :-interval], positions[:, interval:])


LOSSES: Mapping[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "mpjpe": lambda predicted, target, weights: mpjpe(predicted, target),
    "mpjve": lambda predicted, target, weights: mpjve(predicted, target),
    "weighted-mpjpe": weighted_mpjpe,
    "n-mpjpe": lambda predicted, target, weights: n_mpjpe(predicted, target),
    "mean-squared-error": lambda predicted, target, weights: mean_squared_error(predicted, target),
    "temporal-consistency": lambda predicted, target, weights: temporal_consistency(predicted, weights),
    "position-sum": lambda predicted, target, weights: position_sum(predicted, target),
    "velocity-sum": lambda predicted, target, weights: velocity_sum(predicted, target),
    "motion": lambda predicted, target, weights: motion(predicted, target),
}
"""By the names that recipes use, all called (predicted, target, joint weights)."""

OF_MOTION = frozenset({"mpjve", "temporal-consistency", "velocity-sum", "motion"})
"""Those that need two frames."""
