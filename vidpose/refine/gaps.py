"""Filling short gaps in joint curves."""

from __future__ import annotations

import numpy as np

from vidpose.body.stretches import bridgeable


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
    from scipy.interpolate import PchipInterpolator

    filled = curves.copy()
    filled[fill] = PchipInterpolator(times[there], curves[there], axis=0)(times[fill])
    return filled
