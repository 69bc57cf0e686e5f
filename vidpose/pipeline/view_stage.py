"""Several calibrated views of one scene: the lifted results of each video in; the same people, triangulated, out.

People are matched across views, their keypoints triangulated, and what fewer than two views see is filled from the
lifter. The results stay one a video, each in its own camera's frame, with the same ids in all.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vidpose.body.kinematics import matrices_of, pose, quaternions_of, rest_offsets
from vidpose.body.skeletons import Conversion, Skeleton, get_conversion, get_skeleton
from vidpose.body.stretches import MAX_GAP, bridgeable, unbroken
from vidpose.body.tracks import PinholeCamera, PoseResult, Track, ViewFacts
from vidpose.body.whole_body import has_feet
from vidpose.refine.extremities import Sight, extremities_in_space
from vidpose.refine.fit import fit_in_space
from vidpose.refine.gaps import fill_gaps
from vidpose.refine.hinged_body import LAYOUT
from vidpose.refine.rays import in_camera_frame
from vidpose.refine.roots import root_path
from vidpose.refine.smoothing import Smoothing
from vidpose.video import VideoReader
from vidpose.views import ViewCamera, assign, load_calibration
from vidpose.views.clock import CommonClock, sample, synchronise
from vidpose.views.filling import average_body, fill_joints
from vidpose.views.matching import Sighted, match
from vidpose.views.triangulation import triangulate_robustly

log = logging.getLogger(__name__)

_MIN_SCORE = 0.3
"""Keypoints that score less are not triangulated, as people whose keypoints do on average are not counted."""

_AT_ONCE = 4096
"""Ticks that are triangulated together, so that memory does not grow with the length of the video."""


@dataclass(frozen=True)
class _ViewedScene:
    """Several views on one clock, and who is who in them.

    Attributes:
        cameras: for the pictures of these videos.
        conversion: from keypoints to the lifter's joints, whose layout is `layout`; None where they are the same.
        people: the tracks of each, in order of appearance.
        seen_as: layout of the keypoints.
    """

    clock: CommonClock
    cameras: Sequence[ViewCamera]
    conversion: Conversion | None
    layout: Skeleton
    people: Sequence[Sequence[Sighted]]
    seen_as: Skeleton

    @staticmethod
    def of(lifted: Sequence[PoseResult], cameras: Sequence[ViewCamera]) -> _ViewedScene:
        assert len({(v.keypoint_layout, v.joint_layout) for v in lifted}) == 1, "views by one set of networks"
        seen_as, layout = (get_skeleton(getattr(lifted[0], name)) for name in ("keypoint_layout", "joint_layout"))
        conversion = None if seen_as == layout else get_conversion(seen_as.name, layout.name)
        clock = synchronise([view.source for view in lifted])
        cameras = [
            camera.for_video(view.source.path, (view.source.width, view.source.height))
            for camera, view in zip(cameras, lifted, strict=True)
        ]
        tracks = [_sighted(track, v, cameras[v], clock, conversion) for v, r in enumerate(lifted) for track in r.tracks]
        people = match(tracks, cameras, conversion, layout)
        ordered = sorted(people, key=lambda some: min(track.first for track in some))
        return _ViewedScene(clock, cameras, conversion, layout, ordered, seen_as)


@dataclass(frozen=True)
class _LocatedPerson:
    """Someone whom several views see, on the common clock: N ticks, J joints.

    Attributes:
        first: the tick of the first row.
        joints: (N, J, 3) metres in the world's axes, relative to the root; NaN where nothing is known.
        roots: (N, 3) world metres, the root joint; NaN where too little is triangulated.
        scores: (N, J) of the view that sees a joint best; 0 in filled gaps.
        errors: (V, N, K) distances of triangulated keypoints from where each view saw them, in ideal coordinates;
            infinite where it contradicts or nothing is triangulated, NaN where it does not see them.
        rotations: (N, J, 4) of the body that was fitted, in the world's axes; (N, 0, 4) where none was.
        extremities: (N, 10, 3) metres from the root, its feet and hands; (N, 0, 3) where no detector shows them.
    """

    first: int
    joints: np.ndarray
    roots: np.ndarray
    scores: np.ndarray
    errors: np.ndarray
    rotations: np.ndarray
    extremities: np.ndarray


def cameras_of(
    calibration: Path, videos: Sequence[Path], sizes: Sequence[tuple[int, int]] | None = None
) -> tuple[tuple[ViewCamera, ...], str]:
    """The cameras of a calibration file that took these videos, in the videos' pixels.

    Args:
        sizes: (width, height) of the videos, where that is known already; None: they are opened.

    Returns:
        A camera for each video, and "name" or "order": what they were told by (`vidpose.views.assign`).

    Raises:
        UsageError: the number of videos or their names do not go with the calibration, or a video is given twice.
        VidposeError: the calibration or a video cannot be read, or a picture has another shape than the calibrated one.
    """
    cameras, told_by = assign(load_calibration(calibration), videos)
    if told_by == "order":
        pairs = ", ".join(f"{video.name} is {camera.name!r}" for camera, video in zip(cameras, videos, strict=True))
        log.warning("the videos' names do not tell their cameras, so they are taken in order: %s", pairs)
    fitted = []
    known: Sequence[tuple[int, int] | None] = sizes or [None] * len(videos)
    for camera, video, size in zip(cameras, videos, known, strict=True):
        if size is None:
            with VideoReader(video) as reader:
                size = reader.width, reader.height
        fitted.append(camera.for_video(video, size))
    return tuple(fitted), told_by


def who_is_who(lifted: Sequence[PoseResult], cameras: Sequence[ViewCamera]) -> list[list[tuple[int, int]]]:
    """People across views, as `merge_views` tells them apart: of each, number of the view and id there of every track.

    Raises:
        VidposeError: as `merge_views`.
    """
    scene = _ViewedScene.of(_in_camera_frames(lifted, cameras), cameras)
    return [[(track.view, track.id) for track in some] for some in scene.people]


def _in_camera_frames(lifted: Sequence[PoseResult], cameras: Sequence[ViewCamera]) -> list[PoseResult]:
    return [
        in_camera_frame(view, camera.for_video(view.source.path, (view.source.width, view.source.height)).ideal)
        for view, camera in zip(lifted, cameras, strict=True)
    ]


def merge_views(
    lifted: Sequence[PoseResult],
    cameras: Sequence[ViewCamera],
    smoothing: Smoothing,
    *,
    max_gap: float = MAX_GAP,
    fit: bool = False,
) -> tuple[PoseResult, ...]:
    """Put several views of one scene together.

    Args:
        lifted: a result a view, each by itself, as `lift_people` gives it.
        cameras: by which they were taken (`cameras_of`).
        smoothing: of joints and root paths.
        max_gap: seconds; an absence up to this long is filled, a longer one stays empty.
        fit: make everybody whom several views see one body (`vidpose.refine.fit.fit_in_space`), if joints are in its
            layout.

    Returns:
        A result a view. Someone seen by several views has the same id, joints and root path in each of them, in that
        camera's frame, and a row for every frame in which any view saw them. Someone seen by one view keeps the
        lifter's pose, and stands where it fits the keypoints. `agreement` says how well a view agrees with others.

    Raises:
        VidposeError: the videos are not of equal length, or a picture has another shape than the calibrated one.
    """
    lifted = _in_camera_frames(lifted, cameras)
    scene = _ViewedScene.of(lifted, cameras)
    located = {
        id_: _locate(some, scene, smoothing, max_gap, fit and scene.layout == LAYOUT)
        for id_, some in enumerate(scene.people, start=1)
        if len({track.view for track in some}) > 1
    }
    if scene.people and not located:
        log.warning("nobody is seen by two views, so the poses are the lifter's; is this these videos' calibration?")
    results = []
    for v, (view, camera) in enumerate(zip(lifted, scene.cameras, strict=True)):
        own = {track.id: track for track in view.tracks}
        found = []
        for id_, some in enumerate(scene.people, start=1):
            parts = [own[track.id] for track in some if track.view == v]
            if parts and id_ in located:
                found.append(_as_seen(parts, id_, located[id_], camera, view.source.times, scene.clock.ticks[v]))
            elif parts:
                found.append(replace(_alone(parts[0], camera, scene.conversion), id=id_))
        agreement = _agreement([person.errors[v] for person in located.values()], camera, len(lifted))
        result = replace(view, camera=camera.pinhole(), agreement=agreement).with_tracks(
            tuple(sorted(found, key=lambda track: int(track.frames[0]))),
            smoothing=str(smoothing),
            max_gap_seconds=max_gap,
            **({"fit": "body"} if fit and scene.layout == LAYOUT else {}),
        )
        results.append(result)
    return tuple(results)


def describe_agreement(view: ViewFacts) -> str:
    """One line on how well a view agrees with the others."""
    if view.reprojection_px is None:
        return f"camera {view.camera}: nothing that another view sees too; poses are the lifter's"
    return (
        f"camera {view.camera}: {view.triangulated:.0%} of the keypoints agree with other views, "
        f"to {view.reprojection_px:.1f} px (median reprojection error)"
    )


def _agreement(errors: Sequence[np.ndarray], camera: ViewCamera, views: int) -> ViewFacts:
    """How well a view agrees with the others, by the errors of the people whom it shares with them."""
    ideal = np.concatenate([*(of[~np.isnan(of)] for of in errors), np.empty(0)])
    if not len(ideal):
        return ViewFacts(camera.name, views, None, None)
    used = ideal[np.isfinite(ideal)]
    pixels = float(np.median(used)) * float(np.mean(camera.focal)) if len(used) else None
    return ViewFacts(camera.name, views, pixels, len(used) / len(ideal))


def _sighted(track: Track, view: int, camera: ViewCamera, clock: CommonClock, conversion: Conversion | None) -> Sighted:
    """A track on the common clock."""
    first_frame, last_frame = track.frames[[0, -1]]
    first, last = np.ceil(clock.ticks[view][first_frame]), np.floor(clock.ticks[view][last_frame])
    places = clock.positions[view][int(first) : int(last) + 1] - first_frame
    keypoints = (track.keypoints, track.scores)
    joints, joint_scores = conversion(*keypoints) if conversion else keypoints

    def on_clock(values: np.ndarray) -> np.ndarray:
        return sample(values, places).astype(np.float32)

    return Sighted(
        view,
        track.id,
        int(first),
        on_clock(camera.ideal(track.keypoints)),
        np.nan_to_num(on_clock(track.scores)),
        on_clock(camera.ideal(joints)),
        np.nan_to_num(on_clock(joint_scores)),
        on_clock(track.joints.astype(np.float64) @ camera.rotation),
    )


def _locate(
    tracks: Sequence[Sighted], scene: _ViewedScene, smoothing: Smoothing, max_gap: float, fit: bool
) -> _LocatedPerson:
    """Someone in the world, by the tracks of several views."""
    first, stop = min(track.first for track in tracks), max(track.stop for track in tracks)
    root = scene.layout.parents.index(-1)
    parts = []
    for start in range(first, stop, _AT_ONCE):
        gathered = _gather(tracks, len(scene.cameras), start, min(start + _AT_ONCE, stop))
        parts.append(_locate_part(gathered, scene.cameras, scene.conversion, scene.layout))
    world, bodies, scores = (np.concatenate([part[i] for part in parts]) for i in range(3))
    errors = np.concatenate([part[3] for part in parts], axis=1)
    joints = np.where(np.isfinite(world), world - world[:, [root]], bodies)
    times = scene.clock.times[first:stop]
    scores = np.where(np.all(np.isfinite(joints), axis=(1, 2))[:, None], scores, 0)
    joints, roots = (_smoothed(curves, times, smoothing, max_gap) for curves in (joints, world[:, root]))
    rotations, extremities = np.empty((len(times), 0, 4)), np.empty((len(times), 0, 3))
    if fit:
        joints, roots, rotations = fit_in_space(joints, roots, times, max_gap)
        if has_feet(scene.seen_as):
            body = replace(_bare(times, len(scene.seen_as)), joints=joints, roots=roots, rotations=rotations)
            sights = [_sight(track, scene, first, times) for track in tracks]
            extremities, rotations = extremities_in_space(body, sights, scene.seen_as.name, max_gap)
    return _LocatedPerson(first, joints, roots, scores, errors, rotations, extremities)


def _bare(times: np.ndarray, keypoints: int) -> Track:
    """Somebody of whom nothing is known."""
    rows = len(times)
    nowhere = np.full((rows, keypoints, 2), np.nan, np.float32), np.zeros((rows, keypoints), np.float32)
    return Track.of_keypoints(1, np.arange(rows), times, np.full((rows, 4), np.nan, np.float32), *nowhere)


def _sight(track: Sighted, scene: _ViewedScene, first: int, times: np.ndarray) -> Sight:
    """What a view's track shows of somebody, in rows of the common clock."""
    camera, bare = scene.cameras[track.view], _bare(times, len(scene.seen_as))
    rows = slice(track.first - first, track.stop - first)
    bare.keypoints[rows], bare.scores[rows] = track.ideal, track.scores
    return Sight(bare, PinholeCamera((1.0, 1.0), (0.0, 0.0)), camera.rotation, camera.translation)


_FIELDS = ("ideal", "scores", "joint_ideal", "joint_scores", "bodies")


def _gather(tracks: Sequence[Sighted], views: int, start: int, stop: int) -> dict[str, np.ndarray]:
    """The arrays of a person's tracks, (V, ticks from `start` to `stop`, ...), absent where there is no track."""
    gathered = {}
    for name in _FIELDS:
        like = getattr(tracks[0], name)
        absent = 0.0 if name.endswith("scores") else np.nan
        gathered[name] = np.full((views, stop - start, *like.shape[1:]), absent)
        for track in tracks:
            low, high = max(start, track.first), min(stop, track.stop)
            if low < high:
                gathered[name][track.view, low - start : high - start] = getattr(track, name)[
                    low - track.first : high - track.first
                ]
    return gathered


def _locate_part(
    seen: dict[str, np.ndarray], cameras: Sequence[ViewCamera], conversion: Conversion | None, layout: Skeleton
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """World joints (N, J, 3), the lifter's body (N, J, 3), scores (N, J), and errors (V, N, K)."""
    believed = np.where(seen["scores"] < _MIN_SCORE, 0, seen["scores"])
    points = triangulate_robustly(seen["ideal"], believed, cameras)
    joints = conversion(points.positions, seen["scores"].max(axis=0))[0] if conversion else points.positions
    scores = np.where(seen["joint_scores"] < _MIN_SCORE, 0, seen["joint_scores"])
    world = fill_joints(joints, seen["bodies"], seen["joint_ideal"], scores, cameras, layout)
    body = average_body(seen["bodies"], scores)
    errors = np.where(points.agreeing, points.errors, np.where(believed > 0, np.inf, np.nan))
    return world, body, seen["joint_scores"].max(axis=0), errors


def _smoothed(curves: np.ndarray, times: np.ndarray, smoothing: Smoothing, max_gap: float) -> np.ndarray:
    """Curves (N, ...) with short gaps filled, smoothed between long ones."""
    there = np.isfinite(curves).all(axis=tuple(range(1, curves.ndim)))
    out = np.full_like(curves, np.nan)
    for part in unbroken(bridgeable(there, times, max_gap), times, max_gap):
        out[part] = smoothing(fill_gaps(curves[part], times[part], max_gap), times[part])
    return out


def _alone(track: Track, camera: ViewCamera, conversion: Conversion | None) -> Track:
    """Someone whom one view sees, where their lifted joints fit its keypoints."""
    pinhole = camera.pinhole()
    keypoints, scores = camera.ideal(track.keypoints) * pinhole.focal + pinhole.centre, track.scores
    if conversion:
        keypoints, scores = conversion(keypoints, scores)
    roots = root_path(track.joints, keypoints, scores, pinhole, track.times)
    return replace(track, roots=roots.astype(np.float32))


def _as_seen(
    parts: Sequence[Track], id_: int, person: _LocatedPerson, camera: ViewCamera, times: np.ndarray, ticks: np.ndarray
) -> Track:
    """Someone in one view: what it saw itself, and the joints that all views gave, in its camera's frame."""
    rows = np.flatnonzero((ticks > person.first - 1) & (ticks < person.first + len(person.joints)))
    places = np.clip(ticks[rows] - person.first, 0, len(person.joints) - 1)
    keypoints = parts[0].keypoints.shape[1]
    boxes = np.full((len(rows), 4), np.nan, np.float32)
    pixels = np.full((len(rows), keypoints, 2), np.nan, np.float32)
    scores = np.zeros((len(rows), keypoints), np.float32)
    for track in parts:
        own = track.frames - rows[0]
        boxes[own], pixels[own], scores[own] = track.boxes, track.keypoints, track.scores
    track = Track.of_keypoints(id_, rows.astype(np.int64), times[rows], boxes, pixels, scores)
    joints, rotations = sample(person.joints, places), np.empty((len(rows), 0, 4))
    if person.rotations.shape[1]:
        # Between two ticks the bones turn: they do not shorten.
        turned = matrices_of(sample(person.rotations, places))
        offsets = rest_offsets(person.joints, LAYOUT, matrices_of(person.rotations))
        joints = pose(offsets, turned, np.zeros((len(rows), 3)), LAYOUT)
        rotations = quaternions_of(camera.rotation @ turned)
    joints = joints @ camera.rotation.T
    roots = sample(person.roots, places) @ camera.rotation.T + camera.translation
    return replace(
        track,
        extremities=(sample(person.extremities, places) @ camera.rotation.T).astype(np.float32),
        joints=joints.astype(np.float32),
        joint_scores=np.nan_to_num(sample(person.scores, places)).astype(np.float32),
        roots=roots.astype(np.float32),
        rotations=rotations.astype(np.float32),
    )
