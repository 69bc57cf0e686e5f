"""Fitting a body to a track: one set of bone lengths, turns of the joints and a path, over the whole of it.

The bones are the medians of the lifted ones, left and right as long as each other. From where the lifter and the root's
path put it, the body settles where it agrees best with the lifted joints, the keypoints, and what bodies can do
(`vidpose.refine.agreement`). Windows of some seconds overlap and are blended; what lies further away than the overlap
changes nothing, so the windows do not show and time grows with the length.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_limits

from vidpose.body.kinematics import quaternions_of, rest_directions, rest_offsets
from vidpose.body.skeletons import get_skeleton
from vidpose.body.stretches import MAX_GAP, unbroken
from vidpose.body.tracks import PinholeCamera, PoseResult, Track
from vidpose.common.errors import UsageError
from vidpose.common.tally import Progress, Tally
from vidpose.refine.agreement import Evidence, best_body
from vidpose.refine.contacts import foot_speeds, resting
from vidpose.refine.extremities import with_extremities
from vidpose.refine.gaps import fill_gaps
from vidpose.refine.hinged_body import LAYOUT, Body
from vidpose.refine.roots import root_path, seen_joints
from vidpose.refine.scale import Heights, stature

log = logging.getLogger(__name__)

_BADLY_SEEN, _BRIDGED_SECONDS = 0.3, 0.5

_SHARE = 0.85
"""Of the work, that feet and hands are not."""

_WINDOW_SECONDS, _OVERLAP_SECONDS = 8.0, 1.0


def fit(
    result: PoseResult,
    height: Heights | None = None,
    max_gap: float = MAX_GAP,
    progress: Progress | None = None,
) -> PoseResult:
    """Replace everybody's joints by those of a body that moves as bodies do.

    Args:
        result: with 3D joints and a camera.
        height: metres that people are tall; such a body is so tall exactly, by `stature`. None: as the joints have it.
        max_gap: seconds; a longer jump of time ends a stretch, beyond which nothing is computed.
        progress: called with the poses fitted so far, and all there are.

    Returns:
        The result with new joints, roots and rotations in every row that had joints. The joints are those of bones that
        never change their lengths. Its provenance says `fit`.

    Raises:
        UsageError: the camera is not known, or the joints' layout has no rest pose.
    """
    if result.camera is None:
        raise UsageError("a body is fitted to what a camera sees; place the people first (`place`)")
    tracks, tally = [], Tally(sum(map(len, result.tracks)), progress)
    for track in result.tracks:
        rest_directions(get_skeleton(result.joint_layout))
        keypoints, scores = seen_joints(track, result.keypoint_layout, result.joint_layout)
        own_height = height.get(track.id) if isinstance(height, Mapping) else height
        speeds = foot_speeds(track, result.keypoint_layout, result.camera)
        fitted = fit_track(
            track, keypoints, scores, result.camera, own_height, max_gap, speeds, lambda rows: tally.add(_SHARE * rows)
        )
        tracks.append(with_extremities(fitted, result.keypoint_layout, result.camera, max_gap))
        tally.finish(len(track))
    return result.with_tracks(tuple(tracks), fit="body")


# BLAS splits each small solve among threads that spin while they wait: on two busy cores, 50 times the processor time.
_on_one_thread = threadpool_limits.wrap(limits=1, user_api="blas")


@_on_one_thread
def fit_track(
    track: Track,
    keypoints: np.ndarray,
    scores: np.ndarray,
    camera: PinholeCamera,
    height: float | None = None,
    max_gap: float = MAX_GAP,
    speeds: np.ndarray | None = None,
    add: Callable[[float], None] = lambda poses: None,
) -> Track:
    """One person's track, with a body fitted to it.

    Args:
        track: with joints in `H36M_17`; its roots are looked for anew.
        keypoints: (N, 17, 2) pixels of the same joints, NaN where absent.
        scores: (N, 17) of the keypoints.
        camera: that sees them.
        height: metres the body is tall; None: what its bones make.
        max_gap: as of `fit`.
        speeds: (N, 2) of the feet in the picture (`vidpose.refine.contacts`); None: whether one rests is not known.
        add: called with the number of rows that were fitted, window by window.
    """
    if not track.lifted.any():
        log.warning("person %d has no 3D joints to fit a body to", track.id)
        return track
    joints, roots = np.full(track.joints.shape, np.nan, np.float32), np.full(track.roots.shape, np.nan, np.float32)
    rotations = np.full((*track.joints.shape[:2], 4), np.nan, np.float32)
    offsets, rests = _symmetric_offsets(track.joints), np.zeros((len(track), 2), bool)
    path = root_path(track.joints, keypoints, scores, camera, track.times, max_gap)
    for part in unbroken(track.lifted, track.times, max_gap):
        placed = bool(np.isfinite(path[part]).all())
        if not placed:
            path[part] = 0.0, 0.0, _ANYWHERE
        near = _bridged(track.joints[part].copy(), scores[part], track.times[part])
        if placed and speeds is not None:
            rests[part] = resting(speeds[part], path[part, 2], track.times[part])

        def beginning(
            rows: slice, near: np.ndarray = near, first: int = part.start, placed: bool = placed
        ) -> tuple[Body, Evidence]:
            lifted, seen = track.joints[rows].astype(np.float64), scores[rows] * placed
            told = lifted, track.doubts[rows], keypoints[rows], seen, path[rows], track.times[rows], rests[rows]
            standing = near[rows.start - first : rows.stop - first].astype(np.float64)
            return Body.of_joints(offsets, standing, path[rows]), Evidence.of(*told, camera)

        for rows, fitted, turned in _fitted(beginning, track.times, part):
            joints[rows], rotations[rows] = fitted.joints(), turned
            roots[rows] = fitted.roots if placed else np.nan
            add(rows.stop - rows.start)
    if height is not None and (tall := stature(joints, LAYOUT)) > 0:
        # Seen from the camera, a body twice as large and twice as far away is the same.
        scale = np.float32(height / tall)
        joints, roots = joints * scale, roots * scale
    return replace(track, joints=joints, roots=roots, rotations=rotations)


@_on_one_thread
def fit_in_space(
    joints: np.ndarray, roots: np.ndarray, times: np.ndarray, max_gap: float = MAX_GAP
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A body for someone whose places are known without a camera's help: triangulated by several.

    Args:
        joints: (N, 17, 3) metres relative to the root, in `H36M_17`; NaN in rows without a pose.
        roots: (N, 3) metres, in the same axes.
        times: (N,) increasing seconds.
        max_gap: as of `fit`.

    Returns:
        Joints and roots of the body, and its rotations (N, 17, 4), each as a `Track` has them but in these axes.
    """
    fitted, rotations = np.full(joints.shape, np.nan), np.full((*joints.shape[:2], 4), np.nan)
    there = np.isfinite(joints).all(axis=(1, 2))
    if not there.any():
        return fitted, roots, rotations
    # Both sides are seen, so each has bones of its own.
    offsets = rest_offsets(joints, LAYOUT)
    for part in unbroken(there, times, max_gap):

        def beginning(rows: slice) -> tuple[Body, Evidence]:
            body = Body.of_joints(offsets, joints[rows], np.zeros_like(roots[rows]))
            return body, Evidence.in_space(joints[rows], times[rows])

        for rows, done, turned in _fitted(beginning, times, part):
            fitted[rows], rotations[rows] = done.joints(), turned
    return fitted, roots + (joints - fitted).mean(axis=1), rotations


_ANYWHERE = 5.0
"""Metres away, of someone without any keypoint."""


def _symmetric_offsets(joints: np.ndarray) -> np.ndarray:
    """(17, 3) the rest pose of a body whose left bones are as long as the right ones: means of their medians."""
    offsets_JD = rest_offsets(joints, LAYOUT)
    return (offsets_JD + offsets_JD[list(LAYOUT.mirror)] * (-1, 1, 1)) / 2


def _bridged(joints: np.ndarray, scores: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The joints to start from: where one was seen badly for a short while, between where it was seen well.

    A wild pose between good ones pulls them with it before it is mended, and the body may not find back.

    Args:
        joints: (N, J, 3), which are changed, and given back.
    """
    for joint in range(joints.shape[1]):
        curve = np.where(scores[:, joint, None] < _BADLY_SEEN, np.nan, joints[:, joint])
        curve = fill_gaps(curve, times, _BRIDGED_SECONDS)
        joints[:, joint] = np.where(np.isnan(curve), joints[:, joint], curve)
    return joints


Beginning = Callable[[slice], tuple[Body, Evidence]]
"""Of some of a track's rows, the body to start from and what it is fitted to."""


def _fitted(beginning: Beginning, times: np.ndarray, part: slice) -> Iterator[tuple[slice, Body, np.ndarray]]:
    """The body that agrees best in a stretch, window after window: what one needs is there for as long as it is.

    Args:
        times: (N,) seconds of the track.
        part: rows of the track that are the stretch.

    Yields:
        Rows of the track, one slice after the other; the body in these; and its rotations, quaternions.
    """
    before = None
    for rows, fitted in _windowed(beginning, times[part], part.start):
        turned = quaternions_of(fitted.orientations(), before)
        yield rows, fitted, turned
        before = turned[-1]


def _windowed(beginning: Beginning, times: np.ndarray, offset: int) -> Iterator[tuple[slice, Body]]:
    """The same without the rotations, of a stretch's own times; its first row is `offset` of the track's."""
    held: Body | None = None
    first = reached = 0
    for start, stop in _windows(times):
        part = best_body(*beginning(slice(offset + start, offset + stop)))
        if held is not None:
            shared = reached - start
            ramp_N = (np.arange(shared) + 1) / (shared + 1)
            yield slice(offset + first, offset + start), held[: start - first]
            blended = _between(held[start - first :], part[:shared], ramp_N)
            part = Body.joined((blended, part[shared:]))
        held, first, reached = part, start, stop
    assert held is not None
    yield slice(offset + first, offset + reached), held


def _windows(times: np.ndarray) -> list[tuple[int, int]]:
    """Rows (start, stop) of windows, each overlapping the one before. The last one is up to half as long again."""
    windows, start = [], 0
    while times[-1] - times[start] > 1.5 * _WINDOW_SECONDS:
        stop = int(np.searchsorted(times, times[start] + _WINDOW_SECONDS, side="right"))
        windows.append((start, stop))
        start = max(int(np.searchsorted(times, times[stop - 1] - _OVERLAP_SECONDS)), start + 1)
    return [*windows, (start, len(times))]


def _between(first: Body, second: Body, share_N: np.ndarray) -> Body:
    """From one body to another: turned the shortest way, by a share that differs from frame to frame."""
    way = Rotation.from_matrix((np.swapaxes(first.turned, -1, -2) @ second.turned).reshape(-1, 3, 3)).as_rotvec()
    part_way = Rotation.from_rotvec(way * np.repeat(share_N, first.turned.shape[1])[:, None]).as_matrix()
    turned = first.turned @ part_way.reshape(first.turned.shape)
    share_N1 = share_N[:, None]
    bends, roots = (a + share_N1 * (b - a) for a, b in ((first.bends, second.bends), (first.roots, second.roots)))
    return Body(first.offsets, turned, bends, roots)
