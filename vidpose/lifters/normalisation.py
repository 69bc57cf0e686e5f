"""2D normalisations, by the name a lifter's config carries. All take and give (B, T, J, 2 or 3) tensors.

They are told the picture's (width, height) and the number of the root joint, whether they need them or not.
The last channel, when there are three, is the score and is left alone. A joint that is absent (not finite, or with
score 0) comes out as zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch


def present(keypoints_BTJC: torch.Tensor) -> torch.Tensor:
    """(B, T, J) bool: joints that have coordinates and, where there are scores, a score above 0."""
    finite = keypoints_BTJC.isfinite().all(dim=-1)
    return finite & (keypoints_BTJC[..., 2] > 0) if keypoints_BTJC.shape[-1] == 3 else finite


def person(keypoints_BTJC: torch.Tensor, image_size: tuple[int, int], root: int = 0) -> torch.Tensor:
    """The person, wherever and however large in the picture: root-centred in each frame, scaled by the whole window.

    In a frame without the root the mean of the joints present stands in. The unit is the root mean
    square distance of the window's joints from their centres, so `image_size` does not matter.
    """
    there = present(keypoints_BTJC)[..., None]
    xy = torch.where(there, keypoints_BTJC[..., :2], 0.0)
    mean = xy.sum(dim=2, keepdim=True) / there.sum(dim=2, keepdim=True).clamp_min(1)
    root_BT1 = (slice(None), slice(None), slice(root, root + 1))
    centred = torch.where(there, xy - torch.where(there[root_BT1], xy[root_BT1], mean), 0.0)
    mean_square = centred.square().sum(dim=(1, 2, 3)) / there.sum(dim=(1, 2, 3)).clamp_min(1)
    normalised = centred / mean_square.sqrt().clamp_min(1e-6)[:, None, None, None]
    return torch.cat([normalised, torch.where(there, keypoints_BTJC[..., 2:], 0.0)], dim=-1)


def screen(keypoints_BTJC: torch.Tensor, image_size: tuple[int, int], root: int = 0) -> torch.Tensor:
    """The whole picture: x from -1 to 1 over the width, y in the same unit about the middle (VideoPose3D)."""
    width, height = image_size
    there = present(keypoints_BTJC)[..., None]
    # No tensor is made of the numbers: on a GPU that would wait for it.
    x, y = keypoints_BTJC[..., 0], keypoints_BTJC[..., 1]
    xy = torch.stack([x / width * 2 - 1, y / width * 2 - height / width], dim=-1)
    return torch.where(there, torch.cat([xy, keypoints_BTJC[..., 2:]], dim=-1), 0.0)


NORMALISATIONS: Mapping[str, Callable[[torch.Tensor, tuple[int, int], int], torch.Tensor]] = {
    "person": person,
    "screen": screen,
}

_UPRIGHT_ENOUGH = 0.5
"""A trunk's mean direction in a window, over its mean length, from which on it has one."""


def quarter_turns(keypoints_BTJC: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """(B,) how many quarter turns clockwise each window's trunk is from upright in the picture: 0, 1, 2 or 3.

    Args:
        low, high: the trunk's ends, rows of joints.
    """
    there_BT = present(keypoints_BTJC[:, :, [low, high]]).all(dim=-1)
    trunk_BT2 = (keypoints_BTJC[:, :, high] - keypoints_BTJC[:, :, low])[..., :2]
    trunk_BT2 = torch.where(there_BT[..., None], trunk_BT2, 0.0)
    sum_B2, length_B = trunk_BT2.sum(dim=1), trunk_BT2.norm(dim=-1).sum(dim=1)
    turns_B = (torch.atan2(sum_B2[:, 0], -sum_B2[:, 1]) / (torch.pi / 2)).round().long() % 4
    return torch.where(sum_B2.norm(dim=-1) > _UPRIGHT_ENOUGH * length_B, turns_B, 0)


def turned(vectors_BTJC: torch.Tensor, turns_B: torch.Tensor) -> torch.Tensor:
    """Points of the picture, or joints about the optical axis, turned clockwise by so many quarter turns."""
    cos_B, sin_B = (vectors_BTJC.new_tensor(values)[turns_B % 4] for values in ([1, 0, -1, 0], [0, 1, 0, -1]))
    cos_B11, sin_B11 = cos_B[:, None, None], sin_B[:, None, None]
    x, y = vectors_BTJC[..., 0], vectors_BTJC[..., 1]
    across = torch.stack([x * cos_B11 - y * sin_B11, x * sin_B11 + y * cos_B11], dim=-1)
    return torch.cat([across, vectors_BTJC[..., 2:]], dim=-1)
