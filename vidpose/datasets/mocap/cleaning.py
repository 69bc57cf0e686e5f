"""What is damaged in motion capture is left out: where a marker jumps, a recording ends and another begins.

The rules by which the CMU-17 shards were made. Positions are of `H36M_17`, metres, z up.

Shape suffixes: F frames, J joints, D the 3 of a position.
"""

from __future__ import annotations

import numpy as np

from vidpose.body.skeletons import H36M_17

_MARGIN_SECONDS, _LEAST_SECONDS, MOST_SECONDS = 0.03, 1.0, 60.0

_SPEEDS = {"knee": 14.0, "elbow": 14.0, "head_top": 14.0, "nose": 14.0, "ankle": 20.0, "wrist": 26.0}
"""Metres a second that a joint can have; joints of the trunk 9."""
_TRUNK_SPEED = 9.0

_TURN, _TURN_OF_ENDS = 1800.0, 3200.0
"""Degrees a second that a bone can turn by, and those at the ends of limbs."""

_TRUNK_ACCELERATION = 900.0
"""Metres per square second."""

_BENT_NECK, _BENT_SHARE = 85.0, 0.05
"""Degrees between neck and upper spine; and the share of frames beyond, from which on the head is wrong."""

_PARENTS = np.array([max(parent, 0) for parent in H36M_17.parents])
_ENDS = [H36M_17.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("ankle", "wrist")]


def clean(joints_FJD: np.ndarray, fps: float, most_jumps: int) -> list[slice]:
    """The stretches of a recording that are sound; none where there are more jumps than `most_jumps`."""
    sound_F = np.isfinite(joints_FJD).all(axis=(1, 2))
    jumps_F = np.zeros(len(joints_FJD), bool)
    if len(joints_FJD) > 1:
        jumps_F[1:] = _jumps(joints_FJD, fps)
    if jumps_F.sum() > most_jumps:
        return []
    margin = max(1, round(_MARGIN_SECONDS * fps))
    for frame in np.flatnonzero(jumps_F):
        sound_F[max(0, frame - margin) : frame + margin] = False
    edges = np.flatnonzero(np.diff(np.concatenate([[0], sound_F, [0]])))
    parts = [slice(start, stop) for start, stop in edges.reshape(-1, 2) if stop - start >= _LEAST_SECONDS * fps]
    return [part for part in parts if not _neck_is_wrong(joints_FJD[part])]


def _jumps(joints_FJD: np.ndarray, fps: float) -> np.ndarray:
    """(F - 1,) transitions that nobody can make."""
    limits_J = np.array([_SPEEDS.get(joint.removeprefix("left_").removeprefix("right_"), _TRUNK_SPEED)
                         for joint in H36M_17.joints])  # fmt: skip
    with np.errstate(invalid="ignore"):
        step_FJD = np.diff(joints_FJD, axis=0)
        fast_F = (fps * np.linalg.norm(step_FJD, axis=-1) > limits_J).any(axis=1)
        bones_FJD = joints_FJD[:, 1:] - joints_FJD[:, _PARENTS[1:]]
        bones_FJD = bones_FJD / np.maximum(np.linalg.norm(bones_FJD, axis=-1, keepdims=True), 1e-9)
        turned_FJ = np.degrees(np.arccos(np.clip((bones_FJD[1:] * bones_FJD[:-1]).sum(axis=-1), -1, 1)))
        most_J = np.full(len(H36M_17), _TURN)
        most_J[_ENDS] = _TURN_OF_ENDS
        turned_F = (fps * turned_FJ > most_J[1:]).any(axis=1)
        trunk = [H36M_17.index(joint) for joint in ("pelvis", "spine", "thorax")]
        force_F = np.zeros(len(step_FJD), bool)
        if len(step_FJD) > 1:
            acceleration_F = fps**2 * np.linalg.norm(np.diff(step_FJD[:, trunk], axis=0), axis=-1).max(axis=1)
            force_F[1:] = acceleration_F > _TRUNK_ACCELERATION
    return fast_F | turned_F | force_F


def _neck_is_wrong(joints_FJD: np.ndarray) -> bool:
    spine, thorax, head = (H36M_17.index(joint) for joint in ("spine", "thorax", "head_top"))
    back, neck = joints_FJD[:, thorax] - joints_FJD[:, spine], joints_FJD[:, head] - joints_FJD[:, thorax]
    cosine = (back * neck).sum(axis=-1) / np.maximum(
        np.linalg.norm(back, axis=-1) * np.linalg.norm(neck, axis=-1), 1e-9
    )
    return bool((cosine < np.cos(np.radians(_BENT_NECK))).mean() > _BENT_SHARE)
