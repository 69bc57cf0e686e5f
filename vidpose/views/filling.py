"""Joints that fewer than two views see, from what the lifter made of each view.

Such a joint hangs on the nearest joints of the body that are triangulated, by the lifter's bones in between. Where one
view sees it, it is then moved onto that view's ray: the lifter has only its distance to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidpose.body.skeletons import Skeleton
from vidpose.views.cameras import ViewCamera

_LEAST_JOINTS = 4
"""Triangulated joints without which nothing says where the body is."""


def average_body(bodies: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """One body of those of V views.

    Args:
        bodies: (V, N, J, 3) metres; a row with any NaN is none.
        scores: (V, N, J) weights.

    Returns:
        (N, J, 3); NaN where no view has a body.
    """
    there = np.isfinite(bodies).all(axis=(2, 3))[..., None]
    # A joint that nobody sees is still where the bodies agree that it is.
    weights = np.where(there, scores + 1e-6, 0)[..., None]
    total = weights.sum(axis=0)
    mean = (np.nan_to_num(bodies) * weights).sum(axis=0) / np.where(total > 0, total, 1)
    return np.where(total > 0, mean, np.nan)


def fill_joints(
    joints: np.ndarray,
    bodies: np.ndarray,
    ideal: np.ndarray,
    scores: np.ndarray,
    cameras: Sequence[ViewCamera],
    layout: Skeleton,
) -> np.ndarray:
    """Triangulated joints with the missing ones filled.

    Args:
        joints: (N, J, 3) world metres, NaN where not triangulated.
        bodies: (V, N, J, 3) the lifter's, relative to the root, in the world's axes; NaN where a view has none.
        ideal: (V, N, J, 2) ideal image coordinates of the joints.
        scores: (V, N, J) of these; 0 where they are not to be believed.
        cameras: V of them.
        layout: of the joints.

    Returns:
        (N, J, 3) world metres; all NaN in rows where fewer than four joints are triangulated, or without a body.
    """
    known = np.isfinite(joints).all(axis=-1)
    steps = np.where(known[:, None, :], _steps_between(layout), np.inf)
    nearest = (steps == steps.min(axis=-1, keepdims=True)) & known[:, None, :]
    weights = nearest / np.maximum(nearest.sum(axis=-1, keepdims=True), 1)
    # Each view's body by itself: bones from one view to the next would join what does not belong together.
    hung = bodies + weights @ np.where(known[..., None], np.nan_to_num(joints) - bodies, 0)
    filled = average_body(hung, scores)
    sees = scores > 0
    alone = ~known & (sees.sum(axis=0) == 1)
    for camera, coordinates, it_sees in zip(cameras, ideal, sees, strict=True):
        filled = np.where((alone & it_sees)[..., None], _onto_rays(filled, coordinates, camera), filled)
    # A joint that is known is kept to the last bit.
    filled = np.where(known[..., None], joints, filled)
    filled[known.sum(axis=-1) < _LEAST_JOINTS] = np.nan
    return filled


def _onto_rays(points: np.ndarray, ideal: np.ndarray, camera: ViewCamera) -> np.ndarray:
    """The points of a camera's rays that are nearest to these."""
    rays = np.concatenate([ideal, np.ones_like(ideal[..., :1])], axis=-1) @ camera.rotation
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    along = ((points - camera.position) * rays).sum(axis=-1, keepdims=True)
    return camera.position + along * rays


def _steps_between(layout: Skeleton) -> np.ndarray:
    """(J, J) bones on the way from one joint to another (Floyd and Warshall); J where there is no way."""
    count = len(layout)
    steps = np.where(np.eye(count, dtype=bool), 0, count)
    for a, b in layout.bones:
        steps[a, b] = steps[b, a] = 1
    for between in range(count):
        steps = np.minimum(steps, steps[:, [between]] + steps[between])
    return steps
