"""Other programs' keypoints as a result: with the picture's size, the frames' times, and somebody's id for everyone.

found = take_in(Path("openpose_output"), video=Path("walk.mp4"))
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from vidpose import __version__
from vidpose.body.geometry import CAMERA_TO_Z_UP
from vidpose.body.result_file import check_result
from vidpose.body.skeletons import get_skeleton
from vidpose.body.stretches import MAX_GAP, bridgeable, unbroken
from vidpose.body.tracks import PinholeCamera, PoseResult, Source, Track
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.inputs import reading
from vidpose.keypoint_files import KeypointTable, check_kind, read_keypoints
from vidpose.people.tracker import Tracker
from vidpose.pipeline.choices import Filming
from vidpose.pipeline.keypoint_times import at_times, since_start
from vidpose.refine.completing import complete
from vidpose.refine.gaps import fill_gaps
from vidpose.refine.smoothing import Smoothing
from vidpose.video.reading import check_local, source_of

log = logging.getLogger(__name__)

_DEFAULT_FPS = Fraction(30)
_SURE = 0.2
"""Mean score of somebody who may be new."""

_BOX_MARGIN = 0.1
"""Of the box's sides: joints lie inside the body."""

_PICTURE, _FILLED = 1000, 0.7
"""Pixels of the picture that stands for a view of 3D joints, and how much of it they take up."""

_NEAREST = 2.0
"""Metres, at least, to the nearest joint of that view."""


_OUTSIDE = 0.5
"""Of the picture's sides, that somebody may be outside of it."""

_MOST_FRAMES = 10**7
"""Between a file's first frame and its last: days of video."""


def take_in(
    path: Path,
    *,
    video: Path | None = None,
    size: tuple[int, int] | str | None = None,
    fps: float | Fraction | None = None,
    slow_motion: float | Fraction = 1,
) -> PoseResult:
    """A saved result, or what another program found.

    Args:
        path: a result (`.npz`), or a file or folder of one of `vidpose.keypoint_files.FORMATS`.
        video: the keypoints are of, for the picture's size and the frames' times.
        size: (width, height) in pixels, or "1920x1080", of the picture that the keypoints are in; None: the video's, or
            the file's.
        fps: frames a second; None: those of the video, else of the file, else 30.
        slow_motion: how many times slower than life the video is.

    Returns:
        Tracks with 2D keypoints. Of a file of joints in 3D, tracks that have those (`joints_given`), in the frame of a
        camera whose place in the world is known; their 2D keypoints are what that camera would see.

    Raises:
        UsageError: nothing tells the picture's size; or a number cannot be.
        VidposeError: a file is missing, damaged, of no known format, or of another video.
    """
    check_local(str(path))
    filming = Filming(None if fps is None else float(fps), float(slow_motion), size)
    filming.check()
    if path.is_file() and path.suffix.lower() == ".npz":
        return PoseResult.load(path)
    with reading(path, "a file of keypoints that can be"):
        result = _taken_in(path, video, filming.picture, fps, slow_motion)
        check_result(result)
    return result


def _taken_in(
    path: Path,
    video: Path | None,
    size: tuple[int, int] | None,
    fps: float | Fraction | None,
    slow_motion: float | Fraction,
) -> PoseResult:
    table = read_keypoints(path)
    if int(table.frames.max()) - int(table.frames.min()) > _MOST_FRAMES:
        raise ValueError(f"frames from {table.frames.min()} to {table.frames.max()}")
    if video is None:
        table = since_start(table)
    source = _source(path, table, video, size, fps, slow_motion)
    if video is not None and table.by_time:
        table = at_times(path, table, source, slow_motion)
    else:
        table = _on_frames(path, table, source, video)
    if table.is_3d:
        if video is not None:
            log.warning(
                "%s: joints in 3D do not say where they are in a picture; nothing is drawn over %s", path, video
            )
        return _in_space(path, table, replace(source, pictures=False))
    picture = (source.width, source.height)
    if table.share:
        table = table.in_pixels(picture)
    elif video and size and size != picture:
        scale = np.divide(picture, size)
        boxes = None if table.boxes is None else table.boxes * np.tile(scale, 2)
        table = replace(table, keypoints=table.keypoints * scale, boxes=boxes)
    _check_inside(path, table, picture)
    ids = _followed(table, source) if table.ids is None else table.ids
    tracks = [_track(id_, table, np.flatnonzero(ids == id_), source) for id_ in _in_order(ids, table.frames)]
    provenance = {
        "vidpose": __version__,
        "keypoints": str(path),
        "ids": "tracked" if table.ids is None else "of the file",
    }
    return PoseResult(source, tuple(tracks), table.layout.name, "", provenance)


def take_in_kind(kind: str, path: str | Path, *, video: str | Path | None = None, **how: Any) -> PoseResult:
    """The same of a file that is to be of one kind, for the methods `PoseResult.from_...`.

    Args:
        kind: as they are called.
        how: as of `take_in`.

    Raises:
        UsageError, VidposeError: as `take_in`; or the file is of another kind.
    """
    check_kind(Path(path), kind)
    return take_in(Path(path), video=None if video is None else Path(video), **how)


def smooth_joints(result: PoseResult, smoothing: Smoothing, *, max_gap: float = MAX_GAP) -> PoseResult:
    """What is done to joints in 3D that need no lifting: gaps filled, curves smoothed, within each stretch."""
    layout = get_skeleton(result.joint_layout)
    tracks = []
    for track in result.tracks:
        joints, roots = np.full_like(track.joints, np.nan), np.full_like(track.roots, np.nan)
        there = np.isfinite(track.joints).all(axis=-1).any(axis=1)
        for part in unbroken(bridgeable(there, track.times, max_gap), track.times, max_gap):
            times = track.times[part]
            whole = complete(track.joints[part] + track.roots[part, None], times, layout)
            whole = smoothing(fill_gaps(whole, times, max_gap), times)
            root = layout.parents.index(-1)
            joints[part], roots[part] = whole - whole[:, [root]], whole[:, root]
        tracks.append(replace(track, joints=joints, roots=roots))
    return result.with_tracks(tuple(tracks), smoothing=str(smoothing), max_gap_seconds=max_gap)


def _source(
    path: Path,
    table: KeypointTable,
    video: Path | None,
    size: tuple[int, int] | None,
    fps: float | Fraction | None,
    slow_motion: float | Fraction,
) -> Source:
    """The video, or what is known of it without."""
    if video is not None:
        return source_of(video, fps=fps, slow_motion=slow_motion)
    size = size or table.size or ((_PICTURE, _PICTURE) if table.is_3d else None)
    if size is None:
        raise UsageError(f"{path}: does not say how large the picture is; give `size` as 1920x1080, or name the video")
    last = int(table.frames.max()) - table.first + 1
    count = max(table.num_frames or 0, last)
    if fps is None and table.times is not None and len(table.times) >= count:
        rate = table.fps and table.fps * Fraction(str(slow_motion))
        return Source(str(path), *size, table.times / float(slow_motion), rate, pictures=False)
    rate = Fraction(str(fps)) if fps is not None else table.fps
    if rate is None:
        rate = _DEFAULT_FPS
        log.warning("%s: does not say how many frames a second there are; 30 are assumed (`fps`)", path)
    rate *= Fraction(str(slow_motion))
    return Source(str(path), *size, np.arange(count) / float(rate), rate, pictures=False)


def _on_frames(path: Path, table: KeypointTable, source: Source, video: Path | None) -> KeypointTable:
    """The table with the video's numbers of frames, without those that the video does not have."""
    first = table.first
    if video is not None and first > 1 and table.frames.max() < source.num_frames:
        first = 0  # somebody who comes late
    frames = table.frames - first
    inside = (frames >= 0) & (frames < source.num_frames)
    if not inside.any():
        raise VidposeError(
            f"{path}: its keypoints begin with frame {table.frames.min()}, but {video} has {source.num_frames}"
        )
    if not inside.all():
        log.warning(
            "%s: has keypoints up to frame %d, but the video ends with frame %d; is it another video's file?",
            path, frames.max(), source.num_frames - 1,
        )  # fmt: skip
    return table.at(inside, frames[inside])


def _check_inside(path: Path, table: KeypointTable, picture: tuple[int, int]) -> None:
    """See that the keypoints are of a picture of this size: one of them, at least, is in it or near.

    Raises:
        VidposeError: they are not.
    """
    sides = np.array(picture)
    near = (table.keypoints >= -_OUTSIDE * sides) & (table.keypoints <= (1 + _OUTSIDE) * sides)
    if not near.all(axis=-1).any():
        x, y = np.nanmedian(table.keypoints, axis=(0, 1))
        raise VidposeError(
            f"{path}: its keypoints are at about {x:.0f}, {y:.0f}, far outside a picture of {sides[0]} x {sides[1]} "
            "pixels; give the `size` of the picture that they are in, as 1920x1080, or the right video"
        )


def _followed(table: KeypointTable, source: Source) -> np.ndarray:
    """(M,) ids, from frame to frame by who is where; 0 for what turned out to be nobody."""
    ids = np.zeros(len(table.frames), np.int64)
    tracker = Tracker(table.layout)
    order = np.argsort(table.frames, kind="stable")
    ordered = table.frames[order]
    for frame in _looked_at(ordered):
        rows = order[slice(*np.searchsorted(ordered, (frame, frame + 1)))]
        points, scores = table.keypoints[rows], table.scores[rows]
        middle = np.nanmean(points, axis=1, keepdims=True)
        whole = np.where(np.isfinite(points), points, middle)
        confidences = scores.sum(axis=1) / np.maximum((scores > 0).sum(axis=1), 1)
        ids[rows] = tracker.update(float(source.times[frame]), whole, scores, confidences, confidences >= _SURE)
    return np.where(np.isin(ids, list(tracker.confirmed())), ids, 0)


def _looked_at(frames: np.ndarray) -> Iterator[int]:
    """The frames in which people were looked for: those with somebody, and between them one every usual step.

    Who looks at every tenth frame has not lost anybody in the nine others.
    """
    there = np.unique(frames)
    step = max(1, int(np.median(np.diff(there)))) if len(there) > 1 else 1
    for frame, after in pairwise([*there.tolist(), int(there[-1]) + 1]):
        yield from range(frame, after, step)


def _in_order(ids: np.ndarray, frames: np.ndarray) -> list[int]:
    """The ids, but for 0, in order of appearance."""
    firsts = {int(id_): int(frames[ids == id_].min()) for id_ in np.unique(ids) if id_ > 0}
    return sorted(firsts, key=lambda id_: (firsts[id_], id_))


def _track(id_: int, table: KeypointTable, rows: np.ndarray, source: Source) -> Track:
    """One person's sightings as a track."""
    own = table.frames[rows]
    frames = np.arange(own.min(), own.max() + 1)
    keypoints = np.full((len(frames), len(table.layout), 2), np.nan, np.float32)
    scores = np.zeros((len(frames), len(table.layout)), np.float32)
    boxes = np.full((len(frames), 4), np.nan, np.float32)
    places = own - frames[0]
    keypoints[places], scores[places] = table.keypoints[rows], table.scores[rows]
    boxes[places] = _boxes(keypoints[places], source) if table.boxes is None else table.boxes[rows]
    return Track.of_keypoints(id_, frames, source.times[frames], boxes, keypoints, scores)


def _boxes(keypoints: np.ndarray, source: Source) -> np.ndarray:
    """(N, 4) around the keypoints (N, K, 2), some of which are there in every row, cut off at the picture's edge."""
    low, high = np.nanmin(keypoints, axis=1), np.nanmax(keypoints, axis=1)
    margin = _BOX_MARGIN * (high - low)
    return np.clip(np.concatenate([low - margin, high + margin], axis=1), 0, np.tile([source.width, source.height], 2))


def _in_space(path: Path, table: KeypointTable, source: Source) -> PoseResult:
    """Joints of the world, as a camera sees them that stands level before them."""
    camera = _camera_before(table.keypoints, source)
    to_world = camera.to_world
    assert to_world is not None
    assert table.ids is not None
    seen = (table.keypoints - to_world[:, 3]) @ to_world[:, :3]
    pixels = camera.project(seen)
    flat = replace(table, keypoints=pixels)
    root = table.layout.parents.index(-1)
    tracks = []
    for id_ in _in_order(table.ids, table.frames):
        rows = np.flatnonzero(table.ids == id_)
        track = _track(id_, flat, rows, source)
        joints = np.full((*track.scores.shape, 3), np.nan)
        joints[table.frames[rows] - track.frames[0]] = seen[rows]
        whole = complete(joints, track.times, table.layout)
        roots = whole[:, root]
        tracks.append(
            replace(
                track,
                joints=(joints - roots[:, None]).astype(np.float32),
                joint_scores=track.scores,
                roots=roots.astype(np.float32),
            )
        )
    provenance = {"vidpose": __version__, "joints": str(path), "lifter": None}
    layout = table.layout.name
    return PoseResult(source, tuple(tracks), layout, layout, provenance, camera, joints_given=True)


def _camera_before(points: np.ndarray, source: Source) -> PinholeCamera:
    """A level camera at the height of the joints (M, J, 3), Z up, that sees all of them, looking along Y."""
    there = points[np.isfinite(points).all(axis=-1)]
    low, high = there.min(axis=0), there.max(axis=0)
    middle = (low + high) / 2
    reach = max((high - low)[[0, 2]].max() / 2, 0.5)
    distance = max(2 * reach, _NEAREST)
    place = np.array([middle[0], low[1] - distance, middle[2]])
    focal = _FILLED * min(source.width, source.height) / 2 * distance / reach
    return PinholeCamera(
        (focal, focal), (source.width / 2, source.height / 2), np.column_stack([CAMERA_TO_Z_UP, place])
    )
