"""Filling short gaps in joint curves, and finding the stretches between long ones."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator


def stretches(there: np.ndarray) -> list[slice]:
    """The maximal runs of True in an (N,) mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def bridgeable(there: np.ndarray, times: np.ndarray, max_seconds: float) -> np.ndarray:
    """(N,) mask: True also in gaps that lie between two True rows at most `max_seconds` apart."""
    bridged = there.copy()
    for gap in stretches(~there):
        if gap.start > 0 and gap.stop < len(there) and times[gap.stop] - times[gap.start - 1] <= max_seconds:
            bridged[gap] = True
    return bridged


def fill_gaps(curves: np.ndarray, times: np.ndarray, max_seconds: float) -> np.ndarray:
    """Interpolate short gaps with a monotone cubic (PCHIP), which never overshoots; never extrapolate.

    Args:
        curves: (N, ...) values; a row with any NaN is a gap.
        times: (N,) increasing seconds.
        max_seconds: the longest time between two good rows that is bridged.

    Returns:
        (N, ...) values in the same dtype; longer gaps, and both ends, stay NaN.
    """
    there = np.isfinite(curves).all(axis=tuple(range(1, curves.ndim)))
    fill = bridgeable(there, times, max_seconds) & ~there
    if not fill.any():
        return curves
    filled = curves.copy()
    filled[fill] = PchipInterpolator(times[there], curves[there], axis=0)(times[fill])
    return filled
