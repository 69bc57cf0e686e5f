"""Joints that a detector left out, where whatever comes next wants a whole body.

What is put there is a guess, and keeps the score 0 that says so. A joint that was there before and after goes along
with the trunk in between; one that was never there hangs where somebody's who stands would.
"""

from __future__ import annotations

import numpy as np

from vidpose.body.skeletons import H36M_17, Skeleton

_STANDING = {
    "pelvis": (0.0, 0.0), "hip": (0.13, 0.0), "knee": (0.13, 0.44), "ankle": (0.13, 0.86), "heel": (0.13, 0.92),
    "toe": (0.13, 0.92), "index": (0.13, 0.92), "spine": (0.0, -0.24), "thorax": (0.0, -0.49), "neck": (0.0, -0.49),
    "shoulder": (0.17, -0.47), "elbow": (0.17, -0.19), "wrist": (0.17, 0.06), "nose": (0.0, -0.66),
    "eye": (0.03, -0.69), "ear": (0.07, -0.68), "head": (0.0, -0.68), "top": (0.0, -0.8),
}  # fmt: skip
"""Metres of an adult who faces the camera, to the person's left and downwards, from the pelvis; by the last word of a
joint's name."""

_MIDDLE = (0.0, -0.235)
"""Of the trunk."""

_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def complete(points: np.ndarray, times: np.ndarray, layout: Skeleton = H36M_17) -> np.ndarray:
    """One person's joints with none left out.

    Args:
        points: (N, J, D) pixels or metres, y down; NaN where a joint is absent.
        times: (N,) increasing seconds.
        layout: of the joints.

    Returns:
        (N, J, D), finite in every row that has a joint.
    """
    there = np.isfinite(points).all(axis=-1)
    rows = there.any(axis=1)
    if there[rows].all():
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
    _hang(filled, anchors, rows, layout)
    return filled.astype(points.dtype)


def _anchors(points: np.ndarray, layout: Skeleton) -> np.ndarray:
    """(N, D) the middle of the trunk, or of whatever is there of it; else of all joints."""
    trunk = points[:, [layout.index(joint) for joint in _TRUNK]]
    counts = np.isfinite(trunk).all(axis=-1).sum(axis=1)[:, None]
    all_counts = np.isfinite(points).all(axis=-1).sum(axis=1)[:, None]
    of_trunk = np.nansum(trunk, axis=1) / np.maximum(counts, 1)
    of_all = np.nansum(points, axis=1) / np.maximum(all_counts, 1)
    return np.where(counts > 0, of_trunk, np.where(all_counts > 0, of_all, np.nan))


def _hang(points: np.ndarray, anchors: np.ndarray, rows: np.ndarray, layout: Skeleton) -> None:
    """Put joints that are never there where the nearest ones would have them, in place."""
    standing = np.zeros((len(layout), points.shape[-1]))
    standing[:, :2] = [_place(name) for name in layout.joints]
    standing *= _size(points, standing, layout)
    for _ in range(len(layout)):
        there = np.isfinite(points).all(axis=-1)
        for joint, parent in enumerate(layout.parents):
            if parent >= 0:
                down, up = (rows & ~there[:, a] & there[:, b] for a, b in ((joint, parent), (parent, joint)))
                points[down, joint] = points[down, parent] + standing[joint] - standing[parent]
                points[up, parent] = points[up, joint] + standing[parent] - standing[joint]
                there[down, joint] = there[up, parent] = True
        if there[rows].all():
            return
    # Layouts of several roots.
    middle = np.zeros(points.shape[-1])
    middle[:2] = np.multiply(_MIDDLE, _size(points, standing, layout))
    for joint in range(len(layout)):
        missing = rows & ~np.isfinite(points[:, joint]).all(axis=-1)
        points[missing, joint] = anchors[missing] + standing[joint] - middle


def _place(name: str) -> tuple[float, float]:
    """Where somebody's who stands is, of any layout's joints; the middle of the trunk of one unknown."""
    x, y = _STANDING.get(name.split("_")[-1], _STANDING.get(name.split("_")[1] if "_" in name else "", _MIDDLE))
    return (-x if name.startswith("right_") else x), y


def _size(points: np.ndarray, standing: np.ndarray, layout: Skeleton) -> float:
    """How many times as long as those of the body that stands its bones are."""
    ratios = []
    for joint, parent in enumerate(layout.parents):
        usual = np.linalg.norm(standing[joint] - standing[parent])
        lengths = np.linalg.norm(points[:, joint] - points[:, parent], axis=-1)
        if parent >= 0 and usual > 0 and np.isfinite(lengths).any():
            ratios.append(np.nanpercentile(lengths, 75) / usual)
    if ratios:
        return float(np.median(ratios))
    # No bone is whole: how far apart the joints are that there are.
    there = np.isfinite(points).all(axis=-1)
    row = int(there.sum(axis=1).argmax())
    spread = np.linalg.norm(np.ptp(points[row, there[row]], axis=0)) if there[row].any() else 0.0
    standing_spread = np.linalg.norm(np.ptp(standing[there[row]], axis=0)) if there[row].any() else 0.0
    return float(spread / standing_spread) if spread > 0 and standing_spread > 0 else 1.0
