"""A body with its feet and hands, for whoever draws, writes or measures it.

`Track.joints` are those of the lifter. A fitted body may have more: heels, toes, knuckles and thumbs
(`Track.extremities`). Where it has, the whole of it is `H36M_27`.
"""

from __future__ import annotations

import numpy as np

from vidpose.body.pieces import part_of, pieces
from vidpose.body.seen import LEAST_SCORE, inside, known_joints
from vidpose.body.skeletons import EXTREMITIES_10, H36M_27, Skeleton, get_skeleton
from vidpose.body.stretches import MAX_GAP, bridgeable
from vidpose.body.tracks import PoseResult, Track

_FOUND_AS = {"toe": ("foot_index", "big_toe")}
"""What else detectors call an extremity, without its side."""


def whole_skeleton(result: PoseResult) -> Skeleton:
    """The layout of everybody's whole body: that of the joints, unless somebody has feet and hands besides."""
    if any(track.extremities.shape[1] for track in result.tracks):
        return H36M_27
    return get_skeleton(result.joint_layout)


def whole_joints(track: Track, skeleton: Skeleton) -> np.ndarray:
    """(N, J, 3) a track's joints, and its extremities where `whole_skeleton` has them; NaN where the track has none."""
    missing = len(skeleton) - track.joints.shape[1]
    if not track.joints.shape[1] or not missing:
        return track.joints
    extremities = track.extremities
    if not extremities.shape[1]:
        extremities = np.full((len(track), missing, 3), np.nan, np.float32)
    return np.concatenate([track.joints, extremities], axis=1)


def known_whole(result: PoseResult, track: Track, max_gap: float = MAX_GAP) -> np.ndarray:
    """(N, J) bool: which of `whole_joints` rest on something that was seen, as `vidpose.body.seen.known_joints` has it.

    A point of a foot or a hand does where its own keypoint was seen, and the ankle or wrist that it hangs on.
    """
    known_NJ = known_joints(result, track, max_gap)
    if not known_NJ.shape[1] or (skeleton := whole_skeleton(result)) is not H36M_27:
        return known_NJ
    seen_NE = np.empty((len(track), len(EXTREMITIES_10)), bool)
    for rows in pieces(len(track)):
        keypoints, scores = extremity_keypoints(part_of(track, rows), result.keypoint_layout)
        seen_NE[rows] = (scores >= LEAST_SCORE) & inside(keypoints, result.source)
    bridged_NE = np.array([bridgeable(seen_N, track.times, max_gap) for seen_N in seen_NE.T]).T
    ends = [skeleton.parents[skeleton.index(joint)] for joint in EXTREMITIES_10.joints]
    return np.concatenate([known_NJ, bridged_NE & known_NJ[:, ends]], axis=1)


def observed_whole(result: PoseResult, track: Track) -> np.ndarray:
    """(N, J, 3) `whole_joints`, NaN also where nobody saw them (`known_whole`)."""
    joints = whole_joints(track, whole_skeleton(result)) if track.joints.shape[1] else track.joints
    return np.where(known_whole(result, track)[..., None], joints, np.nan).astype(joints.dtype)


def has_feet(keypoints: Skeleton) -> bool:
    """A layout of keypoints shows heels and toes."""
    return all(place >= 0 for joint, place in _places(keypoints).items() if joint.endswith(("_heel", "_toe")))


def extremity_keypoints(track: Track, keypoint_layout: str) -> tuple[np.ndarray, np.ndarray]:
    """A track's keypoints (N, 10, 2) of `EXTREMITIES_10`, and their scores; NaN and 0 for those that it lacks."""
    places = np.array(list(_places(get_skeleton(keypoint_layout)).values()))
    keypoints = np.where((places >= 0)[:, None], track.keypoints[:, places], np.nan)
    return keypoints, np.where((places >= 0) & np.isfinite(keypoints).all(axis=-1), track.scores[:, places], 0)


def _places(keypoints: Skeleton) -> dict[str, int]:
    """Where a layout has each of `EXTREMITIES_10`; -1 where nowhere."""
    places = {}
    for joint in EXTREMITIES_10.joints:
        side, point = joint.split("_")
        names = [f"{side}_{name}" for name in (point, *_FOUND_AS.get(point, ()))]
        places[joint] = next((keypoints.index(name) for name in names if name in keypoints.joints), -1)
    return places
