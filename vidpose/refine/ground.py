"""The floor, from where feet stand: a world with Z up and the floor at 0, for a camera that does not move.

Where a foot stands, its ankle hardly moves across the line of sight and is about as low as the other. The frames of one
person and foot in which that is so are gathered by place, in cells of the floor, and each place has one vote, its
median: somebody who stands still for a minute tells no more about the floor's tilt than somebody who stops for a step.
The floor is the plane that passes nearest the votes, by least squares with Cauchy's weights against steps, jumps and
seats.

Votes close together cannot tell a tilt. So the plane starts from how people hold themselves, from the ankles up to the
neck, where they are stretched; and departs from it as far as the votes outweigh 5 degrees of doubt (a Gaussian prior on
both slopes). Everything is linear in the plane's two slopes and height.

Shape suffixes: N frames, J joints, P places.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from vidpose.body.skeletons import Skeleton
from vidpose.body.stretches import unbroken
from vidpose.refine.scale import stature

log = logging.getLogger(__name__)

Body = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(N, J, 3) joints relative to the root, (N, 3) roots, metres in the camera's frame, NaN where absent; (N,) times."""

ANKLE = 0.048
"""Of the stature, how high an ankle is over the floor when its foot stands: 8 cm, the mean over CMU's test subjects,
lifted and brought to their true distance."""

_STILL = 0.4
"""Metres a second across the line of sight, slower than any step."""

_LEVEL = 0.06
"""Metres that a standing foot's ankle is above the other one at most."""

_CELL = 0.3
"""Metres of floor that have one vote."""

_BRIEFEST = 0.1
"""Seconds on a cell that make a vote."""

_ROUGH = 0.05
"""Metres, the error of a vote, of which lifters are the most part."""

_DOUBT = np.tan(np.radians(5.0))
"""Of the direction in which people hold themselves: its error on CMU's test subjects is 5 degrees in the median."""

_STRETCHED = 0.85
"""Of the longest way from ankles to neck, from which on people count as upright."""

_STEPS = 20


def find_ground(bodies: Sequence[Body], layout: Skeleton) -> np.ndarray | None:
    """Where the floor is, as a move from the camera's frame to the world's.

    Logs a warning where the feet do not tell the floor's tilt, or nothing does.

    Args:
        bodies: the people, in metres.
        layout: of their joints, with ankles, and what `stature` needs.

    Returns:
        (3, 4) float64: a proper rotation and a translation to a world with Z up, the floor at 0, the first root above
        the origin, X to the camera's right and Y away from it. None where nobody has a place.

    Raises:
        UsageError: the layout lacks joints.
    """
    there = [np.isfinite(joints).all(axis=(1, 2)) & np.isfinite(roots).all(axis=1) for joints, roots, _ in bodies]
    people = [
        (joints[rows].astype(np.float64) + roots[rows, None], times[rows])
        for (joints, roots, times), rows in zip(bodies, there, strict=True)
        if rows.any()
    ]
    if not people:
        log.warning("`ground`: nobody has a place before the camera, so no floor is known")
        return None
    soles = [ANKLE * stature(points, layout) for points, _ in people]
    ankles = [layout.index(f"{side}_ankle") for side in ("left", "right")]
    up_3 = _posture([points for points, _ in people], ankles, layout.index("thorax"))
    base_33 = _facing(up_3)
    votes = [
        places_P3 - up_3 * sole
        for (points, times), sole in zip(people, soles, strict=True)
        # A foot does not stand still while nobody looks.
        for part in unbroken(np.full(len(times), True), times)
        for places_P3 in _places(points[part][:, ankles] @ base_33.T, times[part], points[part][:, ankles])
    ]
    places_P3 = np.concatenate(votes)
    if not len(places_P3):
        log.warning("`ground`: no foot stands still; the floor is put below the lowest ankles")
        lowest = [
            np.percentile((points[:, ankles] @ up_3).min(axis=1), 10) - sole
            for (points, _), sole in zip(people, soles, strict=True)
        ]
        places_P3 = min(lowest) * up_3[None]
    up_3, height = _plane(places_P3, base_33)
    rotation_33 = _facing(up_3)
    first_root_3 = next(roots[rows][0] for (_, roots, _), rows in zip(bodies, there, strict=True) if rows.any())
    origin_3 = first_root_3 - (up_3 @ first_root_3 - height) * up_3
    return np.column_stack([rotation_33, -rotation_33 @ origin_3])


def _posture(people: Sequence[np.ndarray], ankles: Sequence[int], neck: int) -> np.ndarray:
    """(3,) unit vector in which people hold themselves: the median over the frames in which they are stretched."""
    directions = []
    for points_NJ3 in people:
        upwards_N3 = points_NJ3[:, neck] - points_NJ3[:, ankles].mean(axis=1)
        length_N = np.linalg.norm(upwards_N3, axis=1)
        stretched_N = length_N >= _STRETCHED * np.percentile(length_N, 95)
        directions.append(upwards_N3[stretched_N] / np.maximum(length_N[stretched_N, None], 1e-9))
    middle_3 = np.median(np.concatenate(directions), axis=0)
    return middle_3 / np.linalg.norm(middle_3)


def _facing(up_3: np.ndarray) -> np.ndarray:
    """(3, 3) proper rotation from the camera's frame to one with this Z, X to the camera's right, Y away from it.

    A camera that looks straight down or up has its own picture's top away from it.
    """
    right_3 = np.array([1.0, 0.0, 0.0]) - up_3[0] * up_3
    if np.linalg.norm(right_3) < 1e-6:  # a camera that lies on its side
        right_3 = np.array([0.0, 1.0, 0.0])
    right_3 = right_3 / np.linalg.norm(right_3)
    return np.stack([right_3, np.cross(up_3, right_3), up_3])


def _places(level_NA3: np.ndarray, times: np.ndarray, ankles_NA3: np.ndarray) -> list[np.ndarray]:
    """For each ankle the (P, 3) places where its foot stood, in the camera's frame.

    Args:
        level_NA3: the ankles in a frame whose Z is about up.
        ankles_NA3: the same in the camera's frame.
    """
    if len(times) < 2:
        return [ankles_NA3[:, foot] for foot in range(ankles_NA3.shape[1])]
    seconds_N = np.gradient(times)
    lowest_N = level_NA3[..., 2].min(axis=1)
    found = []
    for foot in range(ankles_NA3.shape[1]):
        ankle_N3 = ankles_NA3[:, foot]
        velocity_N3 = np.gradient(ankle_N3, times, axis=0)
        sight_N3 = ankle_N3 / np.linalg.norm(ankle_N3, axis=1, keepdims=True)
        across_N3 = velocity_N3 - (velocity_N3 * sight_N3).sum(axis=1, keepdims=True) * sight_N3
        stands_N = (np.linalg.norm(across_N3, axis=1) < _STILL) & (level_NA3[:, foot, 2] < lowest_N + _LEVEL)
        cells_N2 = np.floor(level_NA3[:, foot, :2] / _CELL).astype(np.int64)
        cell_N = np.unique(cells_N2[stands_N], axis=0, return_inverse=True)[1]
        rows_N = np.flatnonzero(stands_N)[np.argsort(cell_N, kind="stable")]
        members = np.split(rows_N, np.cumsum(np.bincount(cell_N))[:-1])
        medians = [np.median(ankle_N3[rows], axis=0) for rows in members if seconds_N[rows].sum() >= _BRIEFEST]
        found.append(np.array(medians).reshape(-1, 3))
    return found


def _plane(places_P3: np.ndarray, base_33: np.ndarray) -> tuple[np.ndarray, float]:
    """The floor's upward unit normal in the camera's frame and its height along it, from places on it.

    Args:
        places_P3: in the camera's frame.
        base_33: rotation to a frame whose Z is about up, from which the normal departs as far as the places ask.
    """
    level_P3 = places_P3 @ base_33.T
    middle_2 = level_P3[:, :2].mean(axis=0)
    rows_P3 = np.column_stack([level_P3[:, :2] - middle_2, np.ones(len(level_P3))])
    prior_33 = np.diag([_DOUBT**-2, _DOUBT**-2, 0.0])
    weights_P = np.full(len(level_P3), _ROUGH**-2)
    for _ in range(_STEPS):
        told_33 = rows_P3.T @ (weights_P[:, None] * rows_P3)
        slopes_3 = np.linalg.solve(told_33 + prior_33, rows_P3.T @ (weights_P * level_P3[:, 2]))
        off_P = (level_P3[:, 2] - rows_P3 @ slopes_3) / _ROUGH
        weights_P = _ROUGH**-2 / (1 + np.square(off_P))
    if np.linalg.eigvalsh(told_33[:2, :2])[0] < _DOUBT**-2:
        log.warning("`ground`: feet stood on too little floor to tell its tilt; it is taken from how people stand")
    normal_3 = np.array([-slopes_3[0], -slopes_3[1], 1.0])
    normal_3 /= np.linalg.norm(normal_3)
    return normal_3 @ base_33, float(normal_3[2] * (slopes_3[2] - slopes_3[:2] @ middle_2))
