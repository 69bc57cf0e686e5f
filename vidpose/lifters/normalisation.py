"""2D normalisations, by the name a lifter's config carries. All take and give (B, T, J, 2 or 3) tensors.

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


def person(keypoints_BTJC: torch.Tensor, image_size: tuple[int, int]) -> torch.Tensor:
    """The person, wherever and however large in the picture: root-centred in each frame, scaled by the whole window.

    Joint 0 is the root; in a frame without it the mean of the joints present stands in. The unit is the root mean
    square distance of the window's joints from their centres, so `image_size` does not matter.
    """
    there = present(keypoints_BTJC)[..., None]
    xy = torch.where(there, keypoints_BTJC[..., :2], 0.0)
    mean = xy.sum(dim=2, keepdim=True) / there.sum(dim=2, keepdim=True).clamp_min(1)
    centred = torch.where(there, xy - torch.where(there[:, :, :1], xy[:, :, :1], mean), 0.0)
    mean_square = centred.square().sum(dim=(1, 2, 3)) / there.sum(dim=(1, 2, 3)).clamp_min(1)
    normalised = centred / mean_square.sqrt().clamp_min(1e-6)[:, None, None, None]
    return torch.cat([normalised, torch.where(there, keypoints_BTJC[..., 2:], 0.0)], dim=-1)


def screen(keypoints_BTJC: torch.Tensor, image_size: tuple[int, int]) -> torch.Tensor:
    """The whole picture: x from -1 to 1 over the width, y in the same unit about the middle (VideoPose3D)."""
    width, height = image_size
    there = present(keypoints_BTJC)[..., None]
    # No tensor is made of the numbers: on a GPU that would wait for it.
    x, y = keypoints_BTJC[..., 0], keypoints_BTJC[..., 1]
    xy = torch.stack([x / width * 2 - 1, y / width * 2 - height / width], dim=-1)
    return torch.where(there, torch.cat([xy, keypoints_BTJC[..., 2:]], dim=-1), 0.0)


NORMALISATIONS: Mapping[str, Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]] = {
    "person": person,
    "screen": screen,
}

PER_FRAME = frozenset({"screen"})
"""Those that treat each frame on its own, so that a frame is the same in every window."""
