"""Keypoints at the frame rate that a lifter knows, and its answers at the video's.

Shape suffixes: N frames of the clip, M of the resampled one, J joints.
"""

from __future__ import annotations

import numpy as np

from vidpose.body.stretches import knots

_SAME_RATE = 0.02
"""Relative difference of two frame rates that a lifter does not notice."""

_LONGEST = 5.0
"""Seconds that a lifter looks at: 243 frames at 50 a second."""

_AT_ONCE = 1 << 18
"""Numbers that splines are laid through together."""


def times_at(times_N: np.ndarray, fps: float) -> np.ndarray | None:
    """(M,) seconds from the first to the last at about a rate; None where the frames have it already, or it is 0."""
    if fps <= 0 or len(times_N) < 2:
        return None
    steps = np.diff(times_N) * fps
    if np.abs(steps - 1).max() <= _SAME_RATE:
        return None
    count = max(2, round(float(times_N[-1] - times_N[0]) * fps) + 1)
    return np.linspace(times_N[0], times_N[-1], count)


def shortened(times_N: np.ndarray) -> np.ndarray:
    """The times with no two frames further apart than any lifter looks: of a time lapse, more would be made up."""
    return np.concatenate([[0.0], np.minimum(np.diff(times_N), _LONGEST).cumsum()])


def resampled(
    keypoints_NJ2: np.ndarray, scores_NJ: np.ndarray, times_N: np.ndarray, times_M: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints and scores at other times: a cubic through every run of frames that have the joint, no guess between.

    Args:
        keypoints_NJ2: pixels, NaN where absent.
        scores_NJ: 0 where absent.

    Returns:
        (M, J, 2) pixels, NaN where a neighbour in time is absent, and (M, J) scores, 0 there.
    """
    there_NJ = np.isfinite(keypoints_NJ2).all(axis=-1) & (scores_NJ > 0)
    # Numbers 0 to N - 1 of the frames before and after each time.
    place_M = np.interp(times_M, times_N, np.arange(len(times_N)))
    before_M, after_M = np.floor(place_M + 1e-9).astype(int), np.ceil(place_M - 1e-9).astype(int)
    known_MJ = there_NJ[before_M] & there_NJ[after_M]
    share_M1 = (place_M - before_M).clip(0, 1)[:, None]
    scores_MJ = scores_NJ[before_M] * (1 - share_M1) + scores_NJ[after_M] * share_M1
    points_MJ2 = np.full((len(times_M), *keypoints_NJ2.shape[1:]), np.nan)
    whole_J = there_NJ.all(axis=0)
    if whole_J.any():
        points_MJ2[:, whole_J] = cubic(times_N, keypoints_NJ2[:, whole_J], times_M)
    for joint in np.flatnonzero(~whole_J):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], there_NJ[:, joint], [0]])))
        for start, stop in edges.reshape(-1, 2):
            inside = known_MJ[:, joint] & (before_M >= start) & (after_M < stop)
            if inside.any():
                run = slice(start, stop)
                points_MJ2[inside, joint] = cubic(times_N[run], keypoints_NJ2[run, joint], times_M[inside])
    points_MJ2[~known_MJ], scores_MJ[~known_MJ] = np.nan, 0.0
    return points_MJ2, scores_MJ


def cubic(times_N: np.ndarray, values_N: np.ndarray, times_M: np.ndarray) -> np.ndarray:
    """(M, ...) values at other times within the given ones, by a cubic spline as far as there are points for one."""
    from scipy.interpolate import CubicSpline, interp1d

    kept_N = knots(times_N)
    times_N, values_N = times_N[kept_N], np.asarray(values_N, np.float64)[kept_N]
    times_M = np.clip(times_M, times_N[0], times_N[-1])
    if len(times_N) == 1:
        return np.repeat(values_N, len(times_M), axis=0)
    if len(times_N) < 4:
        return interp1d(times_N, values_N, axis=0)(times_M)
    columns = values_N.reshape(len(values_N), -1)
    there = np.empty((len(times_M), columns.shape[1]))
    # A spline of a column is several times as large as the column.
    for some in np.array_split(np.arange(columns.shape[1]), -(-columns.size // _AT_ONCE) or 1):
        there[:, some] = CubicSpline(times_N, columns[:, some])(times_M)
    return there.reshape(len(times_M), *values_N.shape[1:])
