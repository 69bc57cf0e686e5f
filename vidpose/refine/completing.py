"""Joints that a detector left out, where whatever comes next wants a whole body.

What is put there is a guess, and keeps the score 0 that says so. A joint that was there before and after goes along
with the trunk in between; one that was never there hangs where somebody's who stands would.
"""

from __future__ import annotations

import numpy as np

from vidpose.body.skeletons import H36M_17, Skeleton

_STANDING = {
    "right_hip": (-0.13, 0.0), "left_hip": (0.13, 0.0), "knee": (0.0, 0.44), "ankle": (0.0, 0.42),
    "spine": (0.0, -0.24), "thorax": (0.0, -0.25), "nose": (0.0, -0.17), "head_top": (0.0, -0.14),
    "left_shoulder": (0.17, 0.02), "right_shoulder": (-0.17, 0.02), "elbow": (0.0, 0.28), "wrist": (0.0, 0.25),
}  # fmt: skip
"""Metres from each joint's parent to it, rightwards and downwards, of an adult who faces the camera."""

_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def complete(points: np.ndarray, times: np.ndarray, layout: Skeleton = H36M_17) -> np.ndarray:
    """One person's joints with none left out.

    Args:
        points: (N, J, D) pixels or metres, y down; NaN where a joint is absent.
        times: (N,) increasing seconds.
        layout: of the joints, `H36M_17`; those of others come back as they are.

    Returns:
        (N, J, D), finite in every row that has a joint.
    """
    there = np.isfinite(points).all(axis=-1)
    rows = there.any(axis=1)
    if there[rows].all() or layout != H36M_17:
        return points
    filled = points.astype(np.float64)
    anchors = _anchors(filled, layout)
    known = rows & np.isfinite(anchors).all(axis=-1)
    for joint in range(len(layout)):
        seen, missing = known & there[:, joint], known & ~there[:, joint]
        if seen.any() and missing.any():
            offsets = filled[seen, joint] - anchors[seen]
            carried = np.stack([np.interp(times[missing], times[seen], axis) for axis in offsets.T], axis=1)
            filled[missing, joint] = anchors[missing] + carried
    _hang(filled, rows, layout)
    return filled.astype(points.dtype)


def _anchors(points: np.ndarray, layout: Skeleton) -> np.ndarray:
    """(N, D) the middle of the trunk, or of whatever is there of it; else of all joints."""
    trunk = points[:, [layout.index(joint) for joint in _TRUNK]]
    counts = np.isfinite(trunk).all(axis=-1).sum(axis=1)[:, None]
    all_counts = np.isfinite(points).all(axis=-1).sum(axis=1)[:, None]
    of_trunk = np.nansum(trunk, axis=1) / np.maximum(counts, 1)
    of_all = np.nansum(points, axis=1) / np.maximum(all_counts, 1)
    return np.where(counts > 0, of_trunk, np.where(all_counts > 0, of_all, np.nan))


def _hang(points: np.ndarray, rows: np.ndarray, layout: Skeleton) -> None:
    """Put joints that are never there where the nearest ones would have them, in place."""
    size = _size(points, layout)
    bones = np.zeros((len(layout), points.shape[-1]))
    for joint, name in enumerate(layout.joints):
        bone = _STANDING.get(name, _STANDING.get(name.split("_")[-1]))
        if bone and layout.parents[joint] >= 0:
            bones[joint, :2] = np.multiply(bone, size)
    for _ in range(len(layout)):
        there = np.isfinite(points).all(axis=-1)
        if there[rows].all():
            return
        for joint, parent in enumerate(layout.parents):
            if parent < 0:
                continue
            down = rows & ~there[:, joint] & there[:, parent]
            points[down, joint] = points[down, parent] + bones[joint]
            up = rows & there[:, joint] & ~there[:, parent]
            points[up, parent] = points[up, joint] - bones[joint]
            there[down, joint] = there[up, parent] = True


def _size(points: np.ndarray, layout: Skeleton) -> float:
    """Units of the points that a metre of the body is."""
    ratios = []
    for joint, parent in enumerate(layout.parents):
        name = layout.joints[joint]
        bone = _STANDING.get(name, _STANDING.get(name.split("_")[-1]))
        if parent >= 0 and bone:
            lengths = np.linalg.norm(points[:, joint] - points[:, parent], axis=-1)
            if np.isfinite(lengths).any():
                ratios.append(np.nanpercentile(lengths, 75) / np.hypot(*bone))
    return float(np.median(ratios)) if ratios else 1.0
