"""Feet that stand do not slide: the root's path of people who stay where they are.

How far somebody is follows from how large they appear, and a body whose knees were lifted too straight is taken for one
farther away: who squats on the spot drifts back and forth. Where both feet rest for a while, the path is moved, most of
all along the line of sight, so that they stay in their places and, where a floor is known, upon it. The pose is left as
it is. Of people who walk, pose and path were found together (`vidpose.refine.contacts`), and stay, but for this: where
a floor is known, nobody's heels and toes are to be under it. Somebody taken for farther away seems to stand too low.

Everything is linear in the moves, and a frame's meets only those of two frames before and after: a band, solved in time
linear in the length.

Shape suffixes: N frames, A ankles, D the 3 of a position.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vidpose.body.skeletons import EXTREMITIES_10, get_skeleton
from vidpose.body.stretches import MAX_GAP, lasting, unbroken
from vidpose.body.tracks import PoseResult, Track
from vidpose.refine.block_band import solve_block_band
from vidpose.refine.contacts import STANDING
from vidpose.refine.ground import ANKLE
from vidpose.refine.scale import stature

_STILL = 0.25
"""Metres a second across the line of sight, slower than which an ankle is at rest."""

_FAR_AND_NEAR = 1.0
"""Metres a second in any direction. A foot that comes towards the camera hardly moves across the line of sight."""

_SLIDING = 0.05
"""Metres a second, the standard deviation of a standing ankle's speed."""

_ACROSS, _ALONG = 0.02, 0.3
"""Metres, standard deviations of the root's path as it was found, across the line of sight and along it."""

_ACCELERATION = 3.0
"""Metres a second squared, the standard deviation of that of the moves."""

_HEIGHT = 0.05
"""Metres, the standard deviation of a standing ankle's height above the floor."""

_DRIFTING = 0.1
"""Metres a second, the standard deviation of the moves' own speed while nobody stands."""

_UNDER = 0.02
"""Metres, the standard deviation of how far a heel or toe is under the floor."""

_ROUNDS = 4
"""Between the moves, and in which frames they leave somebody under the floor."""


def stand_still(result: PoseResult, max_gap: float = MAX_GAP) -> PoseResult:
    """Move the paths of people who stand so that their feet stay in their places, and on the floor if it is known.

    Args:
        result: with roots, in a layout that has ankles.
        max_gap: seconds; a longer jump of time ends a stretch, beyond which nothing is computed.
    """
    floor = None if result.camera is None or result.camera.to_world is None else result.camera.to_world[2]
    layout = get_skeleton(result.joint_layout)
    ankles = [layout.index(f"{side}_ankle") for side in ("left", "right")]
    tracks = []
    for track in result.tracks:
        roots = track.roots.astype(np.float64)
        sole = ANKLE * stature(track.joints, layout)
        placed = track.lifted & np.isfinite(track.roots).all(axis=1)
        for part in unbroken(placed, track.times, max_gap):
            feet = _ankles(track, part, ankles)
            stands, lowest = standing(feet, roots[part], track.times[part]), _lowest(track, part, floor)
            if stands.any() or (lowest < 0).any():
                roots[part] += _moves(feet, roots[part], track.times[part], stands, floor, sole, lowest)
        tracks.append(replace(track, roots=roots.astype(np.float32)))
    return result.with_tracks(tuple(tracks))


def standing(ankles_NAD: np.ndarray, roots_ND: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(N,) bool: both feet rest, and do so for a while.

    Args:
        ankles_NAD, roots_ND: metres in the camera's frame.
        times: (N,) increasing seconds.
    """
    if len(times) < 3:
        return np.zeros(len(times), bool)
    velocity_NAD = np.gradient(ankles_NAD, times, axis=0)
    sight_N1D = _unit(roots_ND)[:, None]
    across_NAD = velocity_NAD - (velocity_NAD * sight_N1D).sum(axis=-1, keepdims=True) * sight_N1D
    rests_NA = np.linalg.norm(across_NAD, axis=-1) < _STILL
    rests_NA &= np.linalg.norm(velocity_NAD, axis=-1) < _FAR_AND_NEAR
    frames = max(3, round(STANDING / float(np.median(np.diff(times)))))
    return lasting(rests_NA.all(axis=1), frames)


def _moves(
    ankles_NAD: np.ndarray,
    roots_ND: np.ndarray,
    times: np.ndarray,
    stands_N: np.ndarray,
    floor: np.ndarray | None,
    sole: float,
    lowest_N: np.ndarray,
) -> np.ndarray:
    """(N, 3) metres to move each frame by.

    Args:
        floor: (4,) that gives a point's height: its first three numbers times the point, plus the last; None: unknown.
        sole: metres of the ankle above it.
        lowest_N: metres above the floor, of the lowest heel or toe.
    """
    one = np.eye(3)
    sight_ND = _unit(roots_ND)
    along_NDD = sight_ND[:, :, None] * sight_ND[:, None]
    middle_NDD = (one - along_NDD) / _ACROSS**2 + along_NDD / _ALONG**2
    # How a frame's move meets those of the next frame, and of the one after.
    beside_NDD, beyond_NDD = np.zeros_like(middle_NDD), np.zeros_like(middle_NDD)
    wanted_ND = np.zeros_like(roots_ND)
    both = (stands_N[1:] & stands_N[:-1]) / np.square(_SLIDING * np.diff(times))
    for foot in range(ankles_NAD.shape[1]):
        slid = both[:, None] * np.diff(ankles_NAD[:, foot], axis=0)
        wanted_ND[:-1] += slid
        wanted_ND[1:] -= slid
        middle_NDD[:-1] += both[:, None, None] * one
        middle_NDD[1:] += both[:, None, None] * one
        beside_NDD[:-1] -= both[:, None, None] * one
        if floor is not None:
            weight = stands_N / _HEIGHT**2
            above = ankles_NAD[:, foot] @ floor[:3] + floor[3] - sole
            middle_NDD += weight[:, None, None] * np.outer(floor[:3], floor[:3])
            wanted_ND -= (weight * above)[:, None] * floor[:3]
    calm = one / (_ACCELERATION * float(np.median(np.diff(times))) ** 2) ** 2
    for place, factor in enumerate((1, 4, 1)):
        middle_NDD[place : len(times) - 2 + place] += factor * calm
    for place in (0, 1):
        beside_NDD[place : len(times) - 2 + place] -= 2 * calm
    beyond_NDD[:-2] += calm
    moves_ND = solve_block_band((middle_NDD, beside_NDD, beyond_NDD), wanted_ND)
    if floor is None:
        return moves_ND
    # The feet of who walks rest already, so the path may not slide under them while it is raised.
    still = one * (~(stands_N[1:] & stands_N[:-1]) / np.square(_DRIFTING * np.diff(times)))[:, None, None]
    middle_NDD[:-1] += still
    middle_NDD[1:] += still
    beside_NDD[:-1] -= still
    for _ in range(_ROUNDS):
        under_N = np.where(lowest_N + moves_ND @ floor[:3] < 0, lowest_N, 0)
        weight_N = (under_N < 0) / _UNDER**2
        raised_NDD = middle_NDD + weight_N[:, None, None] * np.outer(floor[:3], floor[:3])
        raised_ND = wanted_ND - (weight_N * under_N)[:, None] * floor[:3]
        moves_ND = solve_block_band((raised_NDD, beside_NDD, beyond_NDD), raised_ND)
    return moves_ND


def _lowest(track: Track, part: slice, floor: np.ndarray | None) -> np.ndarray:
    """(N,) metres of the lowest heel or toe above the floor; infinite where there is none of them, or no floor."""
    soles = [i for i, joint in enumerate(EXTREMITIES_10.joints) if joint.endswith(("_heel", "_toe"))]
    if floor is None or not track.extremities.shape[1]:
        return np.full(len(track.times[part]), np.inf)
    points_NPD = track.extremities[part][:, soles].astype(np.float64) + track.roots[part][:, None]
    return np.nan_to_num(points_NPD @ floor[:3] + floor[3], nan=np.inf).min(axis=1)


def _ankles(track: Track, part: slice, ankles: list[int]) -> np.ndarray:
    return track.joints[part][:, ankles].astype(np.float64) + track.roots[part][:, None]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
