"""The refinement of the Strided Transformer and P-STMO: a lifted pose, corrected by the keypoints it came from.

Li et al., IEEE TMM 2022, and Shan et al., ECCV 2022, have it from Cai et al., "Exploiting spatial-temporal
relationships for 3D pose estimation via graph convolutional networks", ICCV 2019. The joints are placed a second time:
where the lifted depth meets the ray through the keypoint. A small network tells for x and y of every joint how far to
trust the one and the other. It needs the camera, and the depth of the root: the authors take the true ones, in
evaluation too.

    import_refiner(Path("refine_27_4454.pth"))

Shape suffixes: N frames, J joints, D the 3 of a joint.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from vidpose.common.errors import VidposeError
from vidpose.weights.untrusted import read_checkpoint
from vidpose.weights.weights_file import read_weights, write_weights

KIND = "vidpose-pose-refiner"
ARCH = "pose-refiner"

_KEYS = {"fc1.weight": "0.weight", "fc1.bias": "0.bias", "fc2.weight": "3.weight", "fc2.bias": "3.bias"}
"""Ours, and theirs after `post_refine.`."""


class PoseRefiner(nn.Module):
    """Shares of two placements of a pose: two linear layers with ReLU and dropout 0.5 between, and a sigmoid."""

    def __init__(self, joints: int = 17, width: int = 1024):
        super().__init__()
        self.joints, self.width = joints, width
        self.fc1 = nn.Linear(joints * 6, width)
        self.drop = nn.Dropout(0.5)
        self.fc2 = nn.Linear(width, joints * 2)

    def forward(self, lifted_NJD: torch.Tensor, placed_NJD: torch.Tensor) -> torch.Tensor:
        """(N, J, 3) metres relative to the root, lifted and placed by the keypoints -> (N, J, 3)."""
        both_NI = torch.cat([lifted_NJD, placed_NJD], dim=-1).flatten(1)
        share_NJ2 = self.fc2(self.drop(self.fc1(both_NI).relu())).sigmoid().unflatten(1, (-1, 2))
        xy_NJ2 = share_NJ2 * lifted_NJD[..., :2] + (1 - share_NJ2) * placed_NJD[..., :2]
        return torch.cat([xy_NJ2, lifted_NJD[..., 2:]], dim=-1)

    def predictions(self, lifted_NJD: torch.Tensor, placed_NJD: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What training puts a loss on: the answer."""
        return (self(lifted_NJD, placed_NJD),)


def placed_by_keypoints(
    lifted_NJD: np.ndarray,
    keypoints_NJ2: np.ndarray,
    root_depth_N: np.ndarray,
    focal_2: np.ndarray,
    centre_2: np.ndarray,
    root: int = 0,
) -> np.ndarray:
    """(N, J, 3) metres relative to the root: each joint at its lifted depth, on the ray through its keypoint.

    Args:
        lifted_NJD: metres relative to the root.
        keypoints_NJ2: pixels; an absent one leaves its joint where it was lifted.
        root_depth_N: metres from the camera.
        focal_2, centre_2: of the camera, pixels.
        root: number of the root joint.
    """
    depth_NJ1 = lifted_NJD[..., 2:] + root_depth_N[:, None, None]
    depth_NJ1[:, root] = root_depth_N[:, None]
    xy_NJ2 = (keypoints_NJ2 - centre_2) / focal_2 * depth_NJ1
    placed_NJD = np.concatenate([xy_NJ2, depth_NJ1], axis=-1)
    placed_NJD = placed_NJD - placed_NJD[:, [root]]
    return np.where(np.isfinite(placed_NJD), placed_NJD, lifted_NJD)


def import_refiner(path: Path) -> PoseRefiner:
    """The refiner of an authors' checkpoint, in eval mode.

    Raises:
        VidposeError: see `read_checkpoint`; or it holds something else.
    """
    tensors = read_checkpoint(path)
    theirs = {ours: tensors[name] for ours, key in _KEYS.items() if (name := f"post_refine.{key}") in tensors}
    if not len(theirs) == len(tensors) == len(_KEYS):
        raise VidposeError(f"{path}: not a checkpoint of a {ARCH}, which has post_refine.0 and post_refine.3 alone")
    width, inputs = theirs["fc1.weight"].shape
    refiner = PoseRefiner(inputs // 6, width)
    try:
        refiner.load_state_dict(theirs)
    except RuntimeError:
        raise VidposeError(f"{path}: shapes do not fit a {ARCH}: six numbers a joint in, two out, are due") from None
    return refiner.eval()


def save_refiner(refiner: PoseRefiner, path: Path, about: dict[str, object]) -> None:
    """Write a refiner's weights. Raises VidposeError where the file cannot be written."""
    config = {"joints": refiner.joints, "width": refiner.width}
    write_weights(refiner, path, KIND, {"arch": ARCH, "config": config, **about})


def read_refiner(path: Path) -> PoseRefiner:
    """A refiner from a file of ours, in eval mode.

    Raises:
        VidposeError: the file cannot be read, or holds something else.
    """
    _, tensors = read_weights(path, KIND)
    try:
        width, inputs = tensors["fc1.weight"].shape
        refiner = PoseRefiner(inputs // 6, width)
        refiner.load_state_dict(tensors)
    except (KeyError, ValueError, RuntimeError):
        raise VidposeError(f"{path}: its tensors do not fit a {ARCH}") from None
    return refiner.eval()
