"""Putting people into space: a camera, the body's size, the root's path, and the floor, all put together."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from vidpose.body.skeletons import Skeleton, get_skeleton
from vidpose.body.stretches import MAX_GAP
from vidpose.body.tracks import PlacingFacts, PoseResult, Track
from vidpose.common.tally import Progress
from vidpose.refine.fit import fit as fit_bodies
from vidpose.refine.focal import Lens
from vidpose.refine.ground import find_ground
from vidpose.refine.hinged_body import LAYOUT
from vidpose.refine.rays import in_camera_frame
from vidpose.refine.roots import reprojection_by_id, root_path, seen_joints
from vidpose.refine.scale import Heights, check_height, stature
from vidpose.refine.standing import stand_still

log = logging.getLogger(__name__)

_UNKNOWN = Lens()


def place(
    result: PoseResult,
    lens: Lens = _UNKNOWN,
    *,
    stated_fov: float | None = None,
    height: Heights | None = None,
    fit: bool = False,
    ground: bool = False,
    max_gap: float = MAX_GAP,
    progress: Progress | None = None,
) -> PoseResult:
    """Find out where people are.

    Args:
        result: with 3D joints.
        lens, stated_fov: what the user and the video say of the lens (`Lens.camera`).
        height: metres that people are tall, to scale their joints by; None: the lifter's own metres.
        fit: make each person one body over their whole track (`vidpose.refine.fit`), if joints are in its layout.
        ground: look for the floor too.
        max_gap: seconds; a longer jump of time ends a stretch, beyond which nothing is computed.
        progress: of the fit, called with the poses fitted so far, and all there are.

    Returns:
        The result with a camera, the tracks' roots, and the facts of the placing (`PlacingFacts`).

    Raises:
        UsageError: a camera or a height that cannot be, or joints that cannot be compared with the keypoints.
    """
    camera, focal_from = lens.camera(result.source.width, result.source.height, stated_fov)
    result = in_camera_frame(result, camera)
    heights = _by_id(height, result)
    layout = get_skeleton(result.joint_layout) if result.tracks else LAYOUT
    scaled = replace(result, camera=camera).with_tracks(
        tuple(_scaled(t, heights[t.id], layout) if t.id in heights else t for t in result.tracks)
    )
    fits = fit and bool(result.tracks) and layout == LAYOUT
    placed = fit_bodies(scaled, heights, max_gap, progress) if fits else _with_roots(scaled, max_gap)
    if ground:
        bodies = [(track.joints, track.roots, track.times) for track in placed.tracks]
        placed = replace(placed, camera=replace(camera, to_world=find_ground(bodies, layout)))
    if fits:
        placed = stand_still(placed, max_gap)
    return replace(placed, placing=PlacingFacts(focal_from, heights, reprojection_by_id(placed)))


def fit_given(
    result: PoseResult,
    *,
    height: Heights | None = None,
    fit: bool = True,
    max_gap: float = MAX_GAP,
    progress: Progress | None = None,
) -> PoseResult:
    """What `place` does for joints that came in 3D, with their places: make each person one body.

    Args:
        result: with `joints_given`, and a camera.
        height, fit, max_gap, progress: as of `place`.
    """
    heights = _by_id(height, result)
    if not fit or result.joint_layout != LAYOUT.name:
        return result
    return fit_bodies(result, heights, max_gap, progress)


def _by_id(height: Heights | None, result: PoseResult) -> dict[int, float]:
    """Metres by id, of those people who are there."""
    ids = [track.id for track in result.tracks]
    heights = dict.fromkeys(ids, height) if isinstance(height, float | int) else dict(height or {})
    for metres in heights.values():
        check_height(metres)
    for absent in sorted(heights.keys() - set(ids)):
        log.warning("`height`: there is no person %d; there are %s", absent, ", ".join(map(str, ids)) or "none")
    return {id_: heights[id_] for id_ in ids if id_ in heights}


def _scaled(track: Track, metres: float, layout: Skeleton) -> Track:
    """The track with joints of somebody so tall."""
    lifted = stature(track.joints, layout)
    if not lifted > 0:
        return track
    scale = np.float32(metres / lifted)
    return replace(track, joints=track.joints * scale, doubts=track.doubts * scale)


def _with_roots(result: PoseResult, max_gap: float) -> PoseResult:
    """The result with everybody's root path, and how well the joints then agree with the keypoints."""
    assert result.camera is not None
    tracks = []
    for track in result.tracks:
        keypoints, scores = seen_joints(track, result.keypoint_layout, result.joint_layout)
        roots = root_path(track.joints, keypoints, scores, result.camera, track.times, max_gap)
        tracks.append(replace(track, roots=roots.astype(np.float32)))
    return result.with_tracks(tuple(tracks))
