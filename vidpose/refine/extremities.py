"""Feet and hands of a fitted body: rigid parts that turn about ankles and wrists.

The 17 joints of a body end at ankle and wrist. Where the detector shows heels and toes, or knuckles and thumbs, each
foot and each hand is a rigid part that hangs there. In a frame it has three angles, and those that are wanted

- bring its points, through every camera that sees them, to their keypoints, by their scores; Geman and McClure's
  function lets go of what is plainly wrong, as in `vidpose.refine.agreement`,
- are near to how feet and hands are mostly held, and within what joints can do,
- let the points accelerate little.

A foot that points at the camera looks like one that is held otherwise, so the descent begins at the best way through a
grid of angles (Viterbi). One factor says how large a person's feet are against their shanks, another how large hands
are against forearms; both are found along with the angles.

Shape suffixes: N frames, K points of a part, once for each view, A = 3 angles, G nodes of a grid, D the 3 of a
position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

import numpy as np

from vidpose.body.kinematics import bone_lengths, matrices_of, quaternions_of
from vidpose.body.skeletons import EXTREMITIES_10, get_skeleton
from vidpose.body.stretches import MAX_GAP, unbroken
from vidpose.body.tracks import PinholeCamera, Track
from vidpose.body.whole_body import extremity_keypoints, has_feet
from vidpose.refine.descent import Accelerations, descend
from vidpose.refine.hinged_body import LAYOUT
from vidpose.refine.rigid_parts import FOOT, HAND, Part

_KEYPOINT, _WILD = 0.015, 0.06
"""Metres at the person: the standard deviation of a keypoint of score 1, and where one counts half."""

_ACCELERATION = 20.0
"""Metres a second squared, the standard deviation of a point's against ankle or wrist."""

_LIMIT = 0.05
"""Radians beyond what a joint can do, as a standard deviation."""

_SPEED = 2.0
"""Metres a second that points move at on the way through the grid."""

_SIZE = 0.1
"""Standard deviation of how much larger or smaller somebody's feet or hands are than usual."""

_ROUNDS = 3
"""Between angles and size."""

_FOLLOWED = 0.7
"""How much of the way from an ankle or wrist to its own keypoint the keypoints around it are moved along, for what the
fit is off by there they are off by too."""

_NEAREST = 0.1
"""Metres: nothing is closer to the camera."""

_TOGETHER, _SHARED = 9000, 60
"""Frames that are held at once, for memory's sake, and those of them that the next ones begin with, and are blended."""

_BENT = 0.3
"""Sine of the bend of knee or elbow from which on it shows how its lower bone is rolled."""


def with_extremities(
    track: Track, keypoint_layout: str, camera: PinholeCamera, max_gap: float = MAX_GAP, *, usual_size: bool = False
) -> Track:
    """A fitted track with feet and hands: `extremities`, and `rotations` of ankles and wrists.

    It stays as it is where the detector shows neither heels nor toes, or nobody knows where the person is.

    Args:
        track: with joints of `H36M_17`, roots and rotations.
        keypoint_layout: of the track's keypoints.
        max_gap: seconds; a longer jump of time ends a stretch, beyond which nothing is computed.
        usual_size: take them to be as large as feet and hands mostly are, which is quicker than to find out.
    """
    if not track.rotations.shape[1] or not has_feet(get_skeleton(keypoint_layout)):
        return track
    points, rotations = extremities_in_space(track, [Sight(track, camera)], keypoint_layout, max_gap, usual_size)
    return replace(track, extremities=points, rotations=rotations)


@dataclass(frozen=True)
class Sight:
    """What one camera sees of somebody.

    Attributes:
        track: with keypoints, a row for each of the body's.
        camera: that they are in the pixels of.
        rotation, translation: (3, 3) and (3,) from the body's axes to the camera's.
    """

    track: Track
    camera: PinholeCamera
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    translation: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def places(self, points_ND: np.ndarray) -> np.ndarray:
        """Points of the body's axes in the camera's."""
        return points_ND @ self.rotation.T + self.translation


def extremities_in_space(
    body: Track, sights: Sequence[Sight], keypoint_layout: str, max_gap: float = MAX_GAP, usual_size: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Feet and hands of a fitted body, as one camera or several see them.

    Args:
        body: as of `with_extremities`, in any axes; its keypoints do not count.
        sights: at least one.
        keypoint_layout: of their keypoints; it has heels and toes.
        max_gap, usual_size: as of `with_extremities`.

    Returns:
        `extremities` and `rotations` of the body with them, as a `Track` has them.
    """
    placed = body.lifted & np.isfinite(body.roots).all(axis=1)
    points, rotations = np.full((len(body), len(EXTREMITIES_10), 3), np.nan, np.float32), body.rotations.copy()
    runs, lengths = unbroken(placed, body.times, max_gap), bone_lengths(body.joints, LAYOUT)
    for part in (FOOT, HAND) if placed.any() else ():
        names = ("left", "right")
        sides = [_Side.of(part, name, body, lengths, sights, keypoint_layout) for name in names]
        angles, size = _held(part, sides, runs, body.times, 1 if usual_size else _ROUNDS)
        for name, side, angles_NA in zip(names, sides, angles, strict=True):
            end = LAYOUT.index(f"{name}_{part.bone[1]}")
            turned_NDD = side.base @ side.turns(angles_NA)
            rotations[placed, end] = quaternions_of(turned_NDD[placed])
            own = size * side.offsets[: len(part.points)]
            points[:, _columns(part, name)] = body.joints[:, [end]] + own @ _back(turned_NDD)
    return points, rotations


def _columns(part: Part, side: str) -> list[int]:
    return [EXTREMITIES_10.index(f"{side}_{point}") for point in part.points]


@dataclass(frozen=True)
class _Side:
    """A part of one side, and what is seen of it, in all rows of a track or in some; NaN in rows without a body.

    Attributes:
        points: how many the part has, the first of the K.
        axes, offsets: (A, 3) and (K, 3) the part's own, of this side; the offsets in metres, of the usual size.
        base: (N, 3, 3) orientation of the bone that the part hangs on.
        views: (K, 3, 3) from the body's axes to those of the camera that sees a point.
        ends: (N, K, 3) metres, the ankle or wrist in that camera's frame.
        rays: (N, K, 2) keypoints as the camera's (x / z, y / z); any finite value where absent.
        scores: (N, K) of the keypoints, 0 where absent.
        spread: (N, A) radians, standard deviations of the angles.
    """

    points: int
    axes: np.ndarray
    offsets: np.ndarray
    base: np.ndarray
    views: np.ndarray
    ends: np.ndarray
    rays: np.ndarray
    scores: np.ndarray
    spread: np.ndarray

    @staticmethod
    def of(
        part: Part, side: str, track: Track, lengths: np.ndarray, sights: Sequence[Sight], keypoint_layout: str
    ) -> _Side:
        start, end = (LAYOUT.index(f"{side}_{joint}") for joint in part.bone)
        bones_ND = [track.joints[:, joint] - track.joints[:, LAYOUT.parents[joint]] for joint in (start, end)]
        cosine_N = (_unit(bones_ND[0]) * _unit(bones_ND[1])).sum(axis=-1)
        straight_N = 1 / (1 + (1 - np.square(cosine_N)) / _BENT**2)
        spread_NA = np.tile(np.array(part.spread, float), (len(track), 1))
        spread_NA[:, 1] = np.hypot(spread_NA[:, 1], part.loose * straight_N)
        ends_ND, count = track.joints[:, end].astype(np.float64) + track.roots, len(part.points)
        own = get_skeleton(keypoint_layout).index(f"{side}_{part.bone[1]}")
        rays, scores, ends = [], [], []
        for sight in sights:
            seen, camera, at_ND = sight.track, sight.camera, sight.places(ends_ND)
            keypoints_NK2, scores_NK = (
                array[:, _columns(part, side)] for array in extremity_keypoints(seen, keypoint_layout)
            )
            with np.errstate(invalid="ignore", divide="ignore"):
                off_N2 = np.nan_to_num(seen.keypoints[:, own] - camera.project(at_ND)) * seen.scores[:, own, None]
            rays.append((np.nan_to_num(keypoints_NK2) - _FOLLOWED * off_N2[:, None] - camera.centre) / camera.focal)
            scores.append(scores_NK)
            ends.append(np.repeat(at_ND[:, None], count, axis=1))
        # The right side is the left one's picture in a mirror; a turn, there, goes the other way about y and z.
        mirror = 1 if side == "left" else -1
        own_KD = np.array(list(part.points.values())) * (mirror, 1, 1) * lengths[end]
        return _Side(
            count,
            np.array(part.axes, float) * (1, mirror, mirror),
            np.tile(own_KD, (len(sights), 1)),
            matrices_of(track.rotations[:, start]),
            np.repeat([sight.rotation for sight in sights], count, axis=0),
            np.concatenate(ends, axis=1),
            np.concatenate(rays, axis=1),
            np.concatenate(scores, axis=1),
            np.radians(spread_NA),
        )

    def __getitem__(self, rows: slice) -> _Side:
        by_row = ("base", "ends", "rays", "scores", "spread")
        return replace(self, **{name: getattr(self, name)[rows] for name in by_row})

    def steps(self, angles_NA: np.ndarray) -> np.ndarray:
        """(A, N, 3, 3) how the part is turned against its bone after one, two and all three of its angles."""
        sines_AN11, cosines_AN11 = (wave(angles_NA.T)[..., None, None] for wave in (np.sin, np.cos))
        once, twice = self._across
        one, two, three = np.eye(3) + sines_AN11 * once + (1 - cosines_AN11) * twice
        first_two = one @ two
        return np.stack([one, first_two, first_two @ three])

    @cached_property
    def _across(self) -> tuple[np.ndarray, np.ndarray]:
        """(A, 1, 3, 3) twice: the cross product with each axis, once and twice, of Rodrigues' formula for turns."""
        once = np.cross(np.eye(3), self.axes[:, None])[:, None]
        return once, once @ once

    def turns(self, angles_NA: np.ndarray) -> np.ndarray:
        """(N, 3, 3) how the part is turned against its bone; NaN where the angles are."""
        turned = self.steps(np.nan_to_num(angles_NA))[-1]
        turned[np.isnan(angles_NA).any(axis=1)] = np.nan
        return turned


def _held(
    part: Part, sides: list[_Side], runs: list[slice], times: np.ndarray, rounds: int
) -> tuple[list[np.ndarray], float]:
    """(N, A) radians of each side, NaN outside of the runs, and how much larger than usual the part is."""
    angles = [np.full((len(times), 3), np.nan) for _ in sides]
    size, windows = 1.0, [window for run in runs for window in _windows(run)]
    for round_ in range(rounds):
        problems = [_Holding(part, side[rows], times[rows], size) for side in sides for rows, _ in windows]
        places = [angles_NA[rows] for angles_NA in angles for rows, _ in windows]
        held = [
            descend(problem, problem.best_way() if round_ == 0 else place)
            for problem, place in zip(problems, places, strict=True)
        ]
        for place, found, (_, shared) in zip(places, held, windows * len(sides), strict=True):
            ramp_N1 = (np.arange(shared)[:, None] + 1) / (shared + 1)
            found[:shared] = place[:shared] + ramp_N1 * (found[:shared] - place[:shared])
            place[:] = found
        if round_ < rounds - 1:
            told = np.sum([problem.growth(found) for problem, found in zip(problems, held, strict=True)], axis=0)
            size = size + (told[0] + (1 - size) / _SIZE**2) / (told[1] + 1 / _SIZE**2)
    return angles, size


def _windows(run: slice) -> list[tuple[slice, int]]:
    """Rows of windows, and how many of them are those of the window before. The last one is up to twice as long."""
    starts = [run.start, *range(run.start + _TOGETHER, run.stop - _TOGETHER, _TOGETHER)]
    stops = [start + _SHARED for start in starts[1:]] + [run.stop]
    return [
        (slice(start, stop), 0 if start == run.start else _SHARED) for start, stop in zip(starts, stops, strict=True)
    ]


class _Holding:
    """The cost of how a part is held over a stretch (`vidpose.refine.descent.Problem`); its state is (N, A) radians."""

    def __init__(self, part: Part, side: _Side, times: np.ndarray, size: float):
        self.side, self.size, self.times = side, size, times
        self.usual_A, (self.least_A, self.most_A) = np.radians(part.usual), np.radians(part.limits).T
        self.grid_GA = np.radians(list(product(*part.grid)))
        self.accelerations = Accelerations(times)

    def moved(self, angles_NA: np.ndarray, change_NA: np.ndarray) -> np.ndarray:
        return angles_NA + change_NA

    def cost(self, angles_NA: np.ndarray) -> float:
        points_NKD = self._points(angles_NA)
        seconds_N = self.accelerations.seconds_N
        moving_NR = points_NKD[:, : self.side.points].reshape(len(angles_NA), -1)
        return float(seconds_N @ self._costs(angles_NA, points_NKD)) + self.accelerations.cost(
            moving_NR / _ACCELERATION
        )

    def normal_equations(self, angles_NA: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        points_NKD, weight_N = self._points(angles_NA), np.sqrt(self.accelerations.seconds_N)
        by_NKDA = np.cross(self._axes(angles_NA)[:, None], points_NKD[:, :, None]).swapaxes(-1, -2)
        beyond_NA = self._beyond(angles_NA)
        terms = (
            self._seen_rows(points_NKD, by_NKDA),
            (np.eye(3) / self.side.spread[..., None], (angles_NA - self.usual_A) / self.side.spread),
            (np.eye(3) * (beyond_NA != 0)[..., None] / _LIMIT, beyond_NA / _LIMIT),
        )
        by_NRA, off_NR = (np.concatenate(parts, axis=1) for parts in zip(*terms, strict=True))
        by_NRA, off_NR = by_NRA * weight_N[:, None, None], off_NR * weight_N[:, None]
        diagonal, downhill_NA = by_NRA.swapaxes(1, 2) @ by_NRA, -(off_NR[:, None] @ by_NRA)[:, 0]
        blocks, shape = [diagonal, np.zeros_like(diagonal), np.zeros_like(diagonal)], (len(angles_NA), -1)
        own = slice(self.side.points)
        moving_NR, moving_by = points_NKD[:, own].reshape(shape), by_NKDA[:, own].reshape(*shape, 3)
        self.accelerations.add(moving_NR / _ACCELERATION, moving_by / _ACCELERATION, blocks, downhill_NA)
        return blocks, downhill_NA

    def growth(self, angles_NA: np.ndarray) -> tuple[float, float]:
        """By how much the keypoints want the part to be larger, times how much they know of it; and that."""
        points_NKD, seconds_N = self._points(angles_NA), self.accelerations.seconds_N
        by_NR1, off_NR = self._seen_rows(points_NKD, points_NKD[..., None] / self.size)
        by_NR = by_NR1[..., 0]
        return -float(seconds_N @ (by_NR * off_NR).sum(axis=1)), float(seconds_N @ np.square(by_NR).sum(axis=1))

    def best_way(self) -> np.ndarray:
        """(N, A) the nodes of the grid that cost least where points move no faster than they need to."""
        frames, nodes = len(self.times), range(len(self.grid_GA))
        turned_NGDD = self.side.base[:, None] @ self.side.turns(self.grid_GA)
        points_NGKD = self.size * self.side.offsets @ _back(turned_NGDD)
        costs_NG = np.stack([self._costs(self.grid_GA[node], points_NGKD[:, node]) for node in nodes], axis=1)
        points_NGKD = points_NGKD[:, :, : self.side.points]
        costs_NG *= self.accelerations.seconds_N[:, None]
        came_from_NG = np.zeros(costs_NG.shape, np.int8)
        total_G = costs_NG[0]
        for row, seconds in enumerate(np.diff(self.times), start=1):
            steps_GG = points_NGKD[row, :, None] - points_NGKD[row - 1]
            way_GG = np.square(steps_GG).sum(axis=(-1, -2)) / (_SPEED**2 * seconds) + total_G
            came_from_NG[row] = way_GG.argmin(axis=1)
            total_G = way_GG.min(axis=1) + costs_NG[row]
        way_N = np.empty(frames, int)
        way_N[-1] = total_G.argmin()
        for row in range(frames - 1, 0, -1):
            way_N[row - 1] = came_from_NG[row, way_N[row]]
        return self.grid_GA[way_N]

    def _points(self, angles_NA: np.ndarray) -> np.ndarray:
        """(N, K, 3) metres from ankle or wrist, in the camera's frame."""
        return self.size * self.side.offsets @ _back(self.side.base @ self.side.turns(angles_NA))

    def _axes(self, angles_NA: np.ndarray) -> np.ndarray:
        """(N, A, 3) unit vectors that the angles turn about, in the camera's frame."""
        carried = self.side.base @ self.side.steps(angles_NA)
        # What is carried along by a turn about itself stays.
        return np.einsum("anij,aj->nai", carried, self.side.axes)

    def _beyond(self, angles_NA: np.ndarray) -> np.ndarray:
        return angles_NA - np.clip(angles_NA, self.least_A, self.most_A)

    def _costs(self, angles_NA: np.ndarray, points_NKD: np.ndarray) -> np.ndarray:
        """(N,) of each frame by itself; the angles may be the same in all."""
        square_NK, wild = np.square(self._off(points_NKD)[0]).sum(axis=-1), (_WILD / _KEYPOINT) ** 2
        held_NA = np.square((angles_NA - self.usual_A) / self.side.spread)
        seen_N = (self.side.scores * wild * square_NK / (wild + square_NK)).sum(axis=1)
        return seen_N + (held_NA + np.square(self._beyond(angles_NA) / _LIMIT)).sum(axis=-1)

    def _off(self, points_NKD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, K, 2) standard deviations that points appear from their keypoints; and (N, K, 3) where they are."""
        at_NKD = (self.side.views @ points_NKD[..., None])[..., 0] + self.side.ends
        at_NKD[..., 2] = np.maximum(at_NKD[..., 2], _NEAREST)
        rays_NK2 = at_NKD[..., :2] / at_NKD[..., 2:]
        return (rays_NK2 - self.side.rays) * self.side.ends[..., 2:] / _KEYPOINT, at_NKD

    def _seen_rows(self, points_NKD: np.ndarray, by_NKDA: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals (N, R) of the keypoints and their derivatives (N, R, A), both times the root of the weight.

        Args:
            by_NKDA: derivatives of the points.
        """
        (off_NK2, at_NKD), wild = self._off(points_NKD), (_WILD / _KEYPOINT) ** 2
        root_NK1 = np.sqrt(self.side.scores)[..., None] * wild / (wild + np.square(off_NK2).sum(axis=-1, keepdims=True))
        scale_NK1 = root_NK1 * self.side.ends[..., 2:] / (_KEYPOINT * at_NKD[..., 2:])
        rays_NK2, by_NKDA = at_NKD[..., :2] / at_NKD[..., 2:], self.side.views @ by_NKDA
        by_NK2A = scale_NK1[..., None] * (by_NKDA[:, :, :2] - rays_NK2[..., None] * by_NKDA[:, :, 2:])
        frames = len(points_NKD)
        return by_NK2A.reshape(frames, -1, by_NKDA.shape[-1]), (off_NK2 * root_NK1).reshape(frames, -1)


def _back(turns: np.ndarray) -> np.ndarray:
    """The opposite turns of (..., 3, 3)."""
    return np.swapaxes(turns, -1, -2)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
