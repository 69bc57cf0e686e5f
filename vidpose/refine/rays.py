"""From the frames of the rays, in which lifters answer that do not know where in the picture people stand, into the
camera's frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vidpose.body.geometry import ray_turns
from vidpose.body.skeletons import get_skeleton
from vidpose.body.tracks import PinholeCamera, PoseResult, Track
from vidpose.refine.roots import seen_joints

Ideal = Callable[[np.ndarray], np.ndarray]
"""From pixels (..., 2) to x / z and y / z in the camera's frame."""


def in_camera_frame(result: PoseResult, camera: PinholeCamera | Ideal) -> PoseResult:
    """The result with joints in the camera's frame, each pose turned as the ray to its root lies to the optical axis.

    Where the root is not seen, its place in the picture is taken from the frames before and after.

    Args:
        camera: that took the video, or what it makes of pixels.

    Raises:
        UsageError: the joints cannot be made from the keypoints.
    """
    if not result.in_ray_frame:
        return result
    ideal = _ideal_of(camera) if isinstance(camera, PinholeCamera) else camera
    tracks = tuple(_turned(track, result, ideal) for track in result.tracks)
    return replace(result, tracks=tracks, in_ray_frame=False)


def _ideal_of(camera: PinholeCamera) -> Ideal:
    return lambda pixels: (pixels - camera.centre) / camera.focal


def _turned(track: Track, result: PoseResult, ideal: Ideal) -> Track:
    root = get_skeleton(result.joint_layout).parents.index(-1)
    keypoints, scores = seen_joints(track, result.keypoint_layout, result.joint_layout)
    there = np.isfinite(keypoints[:, root]).all(axis=-1) & (scores[:, root] > 0)
    if not there.any():
        return track
    across = ideal(keypoints[there, root].astype(np.float64))
    filled = [np.interp(track.times, track.times[there], across[:, axis]) for axis in (0, 1)]
    turns = ray_turns(np.stack([*filled, np.ones(len(track))], axis=-1))
    joints = np.einsum("nij,nkj->nki", turns, track.joints.astype(np.float64))
    return replace(track, joints=joints.astype(np.float32))
