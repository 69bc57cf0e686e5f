"""Where exported joints are, and when: the most placed coordinates that a result has, and frames at an even rate.

Files for other programs have an axis up and, most of them, one frame rate. Both are settled here, so that a format's
own file is about its format.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import wraps
from typing import TypeVar

import numpy as np

from vidpose.body.geometry import CAMERA_TO_Y_UP, CAMERA_TO_Z_UP, Z_UP_TO_Y_UP
from vidpose.body.moments import Between
from vidpose.body.pieces import part_of, pieces
from vidpose.body.skeletons import get_skeleton
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.body.whole_body import known_whole, whole_joints, whole_skeleton
from vidpose.common.errors import VidposeError

_JITTER = 1e-3
"""Seconds. Containers that count in milliseconds round an even frame rate by half of it, so that this is even still."""

_MOST_PAUSES = 20
"""Even moments that a frame may stand for, on average."""

_ANKLE = 0.08
"""Metres that the ankle of a standing foot is above its sole, the mean over CMU's test subjects."""

_LOW = 10
"""Per cent of the frames whose lowest joint may be below a floor that nobody found: where people are is uncertain."""


class Placement(Enum):
    """What exported positions are measured from; the value is how files and the command line say it."""

    WORLD = "metres in the world, the floor at height 0"
    CAMERA = "metres from below the camera, as if it stood level; the lowest feet at height 0"
    ROOT = "metres from below each person's own pelvis, the feet at height 0; where they are is unknown"


Answer = TypeVar("Answer")


def _asked_once(question: Callable[[PoseResult], Answer]) -> Callable[[PoseResult], Answer]:
    """Remember what was answered about the last result: a file a person asks about everybody, once a person."""
    last: tuple[weakref.ref[PoseResult], Answer] | None = None

    @wraps(question)
    def ask(result: PoseResult) -> Answer:
        nonlocal last
        if last is None or last[0]() is not result:
            last = weakref.ref(result), question(result)
        return last[1]

    return ask


def has_pose(track: Track) -> bool:
    """Some frame of the track has a 3D pose."""
    return track.joints.shape[1] > 0 and bool(track.lifted.any())


def _has_place(track: Track) -> bool:
    """Some frame of the track has a 3D pose, and where it is."""
    return has_pose(track) and bool(np.isfinite(track.roots[track.lifted]).any())


def placed_people(result: PoseResult) -> list[Track]:
    """Who stands in one space: everybody with a 3D pose; where some have a place, those who have one.

    Of whom hardly a joint was seen, no place is known; the others keep theirs.
    """
    posed = [track for track in result.tracks if has_pose(track)]
    return posed if place_of(result) is Placement.ROOT else [track for track in posed if _has_place(track)]


def left_out(result: PoseResult) -> Iterator[tuple[int, str]]:
    """The ids of those who are not among `placed_people`, each with what it lacks, for a warning."""
    placed = {track.id for track in placed_people(result)}
    for track in result.tracks:
        if track.id not in placed:
            yield track.id, "place before the camera" if has_pose(track) else "3D pose"


@_asked_once
def place_of(result: PoseResult) -> Placement:
    """The most that is known of where people are: a world, where a floor was found; else the camera's frame.

    The same for everybody (`placed_people`), so that people in one picture stay together.
    """
    if result.camera is None or not any(map(_has_place, result.tracks)):
        return Placement.ROOT
    return Placement.CAMERA if result.camera.to_world is None else Placement.WORLD


def _to_world(result: PoseResult) -> np.ndarray:
    """(3, 4), of a result whose place is `WORLD`."""
    assert result.camera is not None
    assert result.camera.to_world is not None
    return result.camera.to_world


def axes_of(result: PoseResult, up: str) -> np.ndarray:
    """(3, 3) rotation that turns the camera's frame into the exported one, with "y" or "z" up."""
    if place_of(result) is Placement.WORLD:
        to_world = _to_world(result)[:, :3]
        return Z_UP_TO_Y_UP @ to_world if up == "y" else to_world
    return CAMERA_TO_Y_UP if up == "y" else CAMERA_TO_Z_UP


def placed_joints(result: PoseResult, track: Track, up: str, *, guessed: bool = False) -> np.ndarray:
    """Where a person's joints are.

    Args:
        up: "y" or "z".
        guessed: give joints too that nobody saw (`vidpose.body.seen`), as the lifter took them to be.

    Returns:
        (N, J, 3) float64 metres as `place_of` says, in `whole_skeleton`'s layout; NaN where a joint, or its place, is
        unknown.
    """
    skeleton, axes, origin = whole_skeleton(result), axes_of(result, up), _origin(result, track, up)
    joints = np.empty((len(track), len(skeleton) if track.joints.shape[1] else 0, 3))
    for rows in pieces(len(track)):
        part = part_of(track, rows)
        np.add(_from_camera(result, part, whole_joints(part, skeleton)) @ axes.T, origin, out=joints[rows])
    if not guessed:
        joints[~known_whole(result, track)] = np.nan
    return joints


def _from_camera(result: PoseResult, track: Track, joints: np.ndarray) -> np.ndarray:
    """(N, J, 3) joints of a track in the camera's frame, or around the root where that is all there is."""
    joints = joints.astype(np.float64)
    return joints if place_of(result) is Placement.ROOT else joints + track.roots[:, None]


def _origin(result: PoseResult, track: Track, up: str) -> np.ndarray:
    """(3,) what moves joints, once turned, to where the floor is at height 0."""
    place = place_of(result)
    if place is Placement.WORLD:
        origin = _to_world(result)[:, 3]
        return Z_UP_TO_Y_UP @ origin if up == "y" else origin
    floor = floor_below([_lowest(result, track)]) if place is Placement.ROOT else _floor_below_all(result)
    return -floor * (np.array([0.0, 1, 0]) if up == "y" else np.array([0.0, 0, 1]))


@_asked_once
def _floor_below_all(result: PoseResult) -> float:
    """The height of one floor for all who are in one space, above the camera."""
    return floor_below([_lowest(result, track) for track in placed_people(result)])


def _lowest(result: PoseResult, track: Track) -> np.ndarray:
    """(N,) metres of a track's lowest joint above the camera, or above the root where that is all there is."""
    lowest = np.empty(len(track))
    for rows in pieces(len(track)):
        part = part_of(track, rows)
        lowest[rows] = (-_from_camera(result, part, part.joints)[..., 1]).min(axis=1)
    return lowest


def root_of(result: PoseResult) -> int:
    """The index of the root joint."""
    return get_skeleton(result.joint_layout).parents.index(-1)


def facing_x(result: PoseResult, joints: np.ndarray, heading: float | None) -> tuple[np.ndarray, np.ndarray]:
    """How to turn and to move what is exported, for a program that wants people near its origin who face x.

    Args:
        joints: (N, J, 3) of one person, y up.
        heading: degrees about the vertical by which everybody is turned, and not moved; None: this person is turned to
            look along x over the whole of their frames, with the middle of their path above the origin and, where no
            floor is known, their own feet at height 0.

    Returns:
        (3, 3) and (3,): `joints @ turn.T + shift`.
    """
    from scipy.spatial.transform import Rotation

    if heading is not None:
        return Rotation.from_euler("y", heading, degrees=True).as_matrix(), np.zeros(3)
    layout = get_skeleton(result.joint_layout)
    left = joints[:, layout.index("left_hip")] - joints[:, layout.index("right_hip")]
    forward = np.nansum([-left[:, 2], left[:, 0]], axis=1)
    turn = Rotation.from_euler("y", np.arctan2(forward[1], forward[0])).as_matrix()
    path = joints[:, root_of(result)] @ turn.T
    low, high = np.nanmin(path, axis=0), np.nanmax(path, axis=0)
    floor = 0.0 if place_of(result) is Placement.WORLD else floor_below([joints[:, : len(layout), 1].min(axis=1)])
    return turn, -np.array([(low[0] + high[0]) / 2, floor, (low[2] + high[2]) / 2])


def floor_below(heights: Sequence[np.ndarray]) -> float:
    """The height of a floor for feet, from (N,) heights of people's lowest joints; 0 where none is known."""
    lowest = np.concatenate(heights)
    return float(np.nanpercentile(lowest, _LOW)) - _ANKLE if np.isfinite(lowest).any() else 0.0


@dataclass(frozen=True)
class EvenClock:
    """Even moments: moment k is at `start + k / rate` seconds.

    Attributes:
        start: seconds.
        rate: moments a second.
        places: (F,) the moment of each of the video's frames, if they keep to the clock, but for those that are left
            out; None if they do not, and moments lie between frames.
    """

    start: float
    rate: float
    places: np.ndarray | None

    @staticmethod
    def of(source: Source) -> EvenClock:
        """At the video's frame rate: as its container states it where its frames keep to it, else by their intervals.

        Pauses do not count: the median interval says how far frames lie apart.
        """
        times = np.asarray(source.times, np.float64)
        stated = [float(source.fps)] if source.fps else []
        if len(times) < 2:
            rate = stated[0] if stated else 1.0
            return EvenClock(float(times[0]) if len(times) else 0.0, rate, np.arange(len(times)))
        start, steps = float(times[0]), np.diff(times)
        median = float(np.median(steps))
        # Intervals in whole milliseconds are right on average.
        usual = steps[np.abs(steps - median) < median / 2]
        for rate in (*stated, len(usual) / usual.sum()):
            places = np.rint((times - start) * rate)
            if abs(rate * median - 1) < 0.5 and _is_even(times - start, places, rate):
                return EvenClock(start, rate, places.astype(np.int64))
        return EvenClock(start, 1 / median, None)

    def frames_of(self, track: Track) -> np.ndarray:
        """(M,) numbers of the moments within a track, from its first frame to its last; at least one.

        Raises:
            VidposeError: there are many times as many as frames, since those lie hours apart.
        """
        if self.places is not None:
            first, last = self.places[track.frames[[0, -1]]].tolist()
        else:
            first, last = ((track.times[[0, -1]] - self.start) * self.rate).tolist()
            first, last = math.ceil(first - 1e-6), math.floor(last + 1e-6)
        if last - first > _MOST_PAUSES * len(track) + 1_000_000:
            raise VidposeError(
                f"person {track.id}: {len(track)} frames over {track.times[-1] - track.times[0]:.0f} s, which at "
                f"an even {self.rate:g} a second are {last - first}; write JSON or CSV, which keep frames' own times"
            )
        return np.arange(first, max(first, last) + 1)

    def times_of(self, frames: np.ndarray) -> np.ndarray:
        """(M,) seconds of moments."""
        return self.start + frames / self.rate

    def sample(self, track: Track, values: np.ndarray) -> Iterator[np.ndarray]:
        """What the rows (N, ...) of a track are at the moments within it, (m, ...) of some moments after the other.

        Between two rows, their linear interpolation; NaN where either is, and where time jumps between them.
        """
        frames = self.frames_of(track)
        if self.places is not None and len(frames) == len(track):
            yield from (values[rows] for rows in pieces(len(frames)))
            return
        times = self.times_of(frames)
        own = track.times if self.places is None else self.times_of(self.places[track.frames])
        between = Between.of(own, times)
        yield from (between.sample(values, rows) for rows in pieces(len(frames)))


def _is_even(seconds: np.ndarray, places: np.ndarray, rate: float) -> bool:
    return bool(np.abs(seconds - places / rate).max() <= _JITTER and (np.diff(places) > 0).all())
