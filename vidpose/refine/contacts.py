"""When a foot rests on the floor: heel, toe and ankle then stay where they are in the picture, all three.

A foot that swings towards the camera moves little in the picture, too, but it turns as it swings, so that heel and toe
do not stay together. How the body was lifted does not matter here.
"""

from __future__ import annotations

import numpy as np

from vidpose.body.skeletons import EXTREMITIES_10, get_skeleton
from vidpose.body.stretches import lasting
from vidpose.body.tracks import PinholeCamera, Track
from vidpose.body.whole_body import extremity_keypoints

_STILL = 0.2
"""Metres a second across the line of sight, slower than which a point of a foot is at rest."""

_BRIEFEST = 0.2
"""Seconds for which a foot rests at least."""

STANDING = 0.7
"""Seconds for which both feet rest where somebody stands; in a step they do for less than half of it."""

_SMOOTHED = 0.08
"""Seconds, the standard deviation over which keypoints are averaged: they tremble by a centimetre."""

_SEEN = 0.3
"""Least score of a keypoint that tells that a foot rests."""


def foot_speeds(track: Track, keypoint_layout: str, camera: PinholeCamera) -> np.ndarray:
    """How fast each foot moves in the picture: the fastest of heel, toe and ankle.

    Args:
        keypoint_layout: of the track's keypoints.

    Returns:
        (N, 2) of the left and the right foot, metres a second of somebody 1 m away; infinite where one is not seen.
    """
    speeds = np.full((len(track), 2), np.inf)
    layout = get_skeleton(keypoint_layout)
    ends, end_scores = extremity_keypoints(track, keypoint_layout)
    if len(track) < 2:
        return speeds
    step = float(np.median(np.diff(track.times)))
    for foot, side in enumerate(("left", "right")):
        if f"{side}_ankle" not in layout.joints:
            continue
        ankle, own = layout.index(f"{side}_ankle"), [EXTREMITIES_10.index(f"{side}_{end}") for end in ("toe", "heel")]
        points = np.concatenate([ends[:, own], track.keypoints[:, [ankle]]], axis=1)
        scores = np.concatenate([end_scores[:, own], track.scores[:, [ankle]]], axis=1)
        rays = (points.astype(np.float64) - camera.centre) / camera.focal
        calm = _blurred(np.nan_to_num(rays), _SMOOTHED / step)
        moving = np.linalg.norm(np.gradient(calm, track.times, axis=0), axis=-1).max(axis=1)
        speeds[:, foot] = np.where((scores >= _SEEN).all(axis=1) & np.isfinite(rays).all(axis=(1, 2)), moving, np.inf)
    return speeds


def resting(speeds: np.ndarray, depths: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(N, 2) bool: which foot rests while somebody walks. Of those who stand, `vidpose.refine.standing` moves the path.

    Args:
        speeds: of `foot_speeds`.
        depths: (N,) metres that the person is away.
        times: (N,) increasing seconds.
    """
    still = speeds * depths[:, None] < _STILL
    if len(times) < 2:
        return np.zeros_like(still)
    step = float(np.median(np.diff(times)))
    rests = np.stack([lasting(one, max(2, round(_BRIEFEST / step))) for one in still.T], axis=1)
    return rests & ~lasting(rests[:, 0] & rests[:, 1], max(3, round(STANDING / step)))[:, None]


def _blurred(values: np.ndarray, deviation: float) -> np.ndarray:
    """(N, ...) values averaged over their neighbours by a Gaussian of so many rows; the ends go on as they are.

    `scipy.ndimage` has it too, and takes longer to import than the rest of a short clip's bodies takes.
    """
    reach = int(4 * deviation + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    padded = np.pad(values, [(reach, reach)] + [(0, 0)] * (values.ndim - 1), mode="edge")
    return np.apply_along_axis(np.convolve, 0, padded, weights / weights.sum(), "valid")
