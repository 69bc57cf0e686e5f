"""What of a person was seen, and what is a guess.

A detector always says where a joint is, also of one that it never saw, and a lifter always gives a whole body. Neither
may look like an observation where somebody reads it.
"""

from __future__ import annotations

import numpy as np

from vidpose.body.pieces import part_of, pieces
from vidpose.body.skeletons import SKELETONS, get_conversion
from vidpose.body.stretches import MAX_GAP, bridgeable
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.common.errors import UsageError

LEAST_SCORE = 0.05
"""Below it a detector says that it sees nothing of a joint. Of those hidden behind a body it is still surer."""

_BESIDE = 0.02
"""Of the picture's longer side, how far outside of it a joint may be found."""


def seen_keypoints(source: Source, track: Track) -> np.ndarray:
    """(N, K) bool: which keypoints the detector saw, in the picture."""
    return (track.scores >= LEAST_SCORE) & inside(track.keypoints, source)


def known_joints(result: PoseResult, track: Track, max_gap: float = MAX_GAP) -> np.ndarray:
    """Which 3D joints rest on something that was seen.

    Args:
        result, track: with joints or without.
        max_gap: seconds for which a joint that was seen before and after counts as known.

    Returns:
        (N, J) bool: the joint's keypoint was seen, in the picture; or another camera saw it; or it was out of sight for
        a moment only.
    """
    seen_NJ = track.joint_scores >= LEAST_SCORE
    if track.joints.shape[1] and result.keypoint_layout in SKELETONS:
        for rows in pieces(len(track)):
            keypoints_NJ2, scores_NJ = _as_joints(result, part_of(track, rows))
            # Where the joint has a better score than this picture gave it, another camera saw it.
            by_others_NJ = track.joint_scores[rows] > scores_NJ + 1e-6
            seen_NJ[rows] &= by_others_NJ | inside(keypoints_NJ2, result.source)
    bridged_JN = [bridgeable(seen_N, track.times, max_gap) for seen_N in seen_NJ.T]
    return np.array(bridged_JN, bool).reshape(seen_NJ.T.shape).T


def observed_joints(result: PoseResult, track: Track) -> np.ndarray:
    """(N, J, 3) a track's joints, NaN also where nobody saw them (`known_joints`)."""
    return np.where(known_joints(result, track)[..., None], track.joints, np.nan).astype(track.joints.dtype)


def _as_joints(result: PoseResult, track: Track) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (N, J, 2) and scores (N, J) of the joints; where they cannot be made, NaN and 0."""
    if result.keypoint_layout == result.joint_layout:
        return track.keypoints, track.scores
    try:
        return get_conversion(result.keypoint_layout, result.joint_layout)(track.keypoints, track.scores)
    except UsageError:
        return np.full((*track.joint_scores.shape, 2), np.nan), np.zeros(track.joint_scores.shape)


def inside(points: np.ndarray, source: Source) -> np.ndarray:
    """(...) bool: which pixels (..., 2) lie in the picture or just beside it."""
    beside = _BESIDE * max(source.width, source.height)
    size = np.array([source.width, source.height])
    with np.errstate(invalid="ignore"):
        return np.all((points >= -beside) & (points <= size + beside), axis=-1)
