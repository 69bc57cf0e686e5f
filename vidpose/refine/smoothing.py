"""Smoothing of joint curves. Every parameter is in Hz or seconds.

The zero-phase filters run on a clock of their own, fast and even, to which the curves are interpolated: so the frame
rate of the video, constant or not, does not change the result. scipy is imported inside the filters, since help texts
list them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vidpose.body.stretches import knots
from vidpose.common.errors import UsageError

CLOCK_HZ = 240.0

_AT_ONCE = 1 << 18
"""Numbers on the clock that are worked on together."""

_APART = 1.0
"""Seconds; frames further apart have nothing in common that a filter of some Hz could tell."""

_LEAST_ROWS = 4


@dataclass(frozen=True)
class Smoothing:
    """A smoothing method with its parameter: the cut-off in Hz, or the window in seconds for Savitzky-Golay."""

    method: str
    parameter: float

    def __str__(self) -> str:
        return self.method if self.method == "none" else f"{self.method}:{self.parameter:g}"

    @staticmethod
    def parse(text: str) -> Smoothing:
        """From `METHOD` or `METHOD:PARAMETER`, as the command line takes it.

        Raises:
            UsageError: there is no such method, or its parameter is not a number within its limits.
        """
        method, colon, parameter = text.partition(":")
        if method == "none" and not colon:
            return Smoothing("none", 0.0)
        if method not in FILTERS:
            raise UsageError(f"smoothing {text!r}: no such filter; known are {', '.join(FILTERS)} and none")
        chosen = FILTERS[method]
        if not colon:
            return Smoothing(method, chosen.default)
        try:
            value = float(parameter)
        except ValueError:
            value = float("nan")
        lowest, highest = chosen.limits
        if not lowest <= value <= highest:
            raise UsageError(
                f"smoothing {text!r}: {method} takes {lowest:g} to {highest:g} {chosen.unit}, as in "
                f"{method}:{chosen.default:g}"
            )
        return Smoothing(method, value)

    def __call__(self, curves: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Smooth curves that have no gaps.

        Args:
            curves: (N, ...) finite values.
            times: (N,) increasing seconds.

        Returns:
            (N, ...) values at the same times, in the dtype of `curves`. Fewer than 4 rows together come back as they
            were; rows more than a second apart are not together.
        """
        if self.method == "none":
            return curves
        smoothed, smooth = curves.copy(), FILTERS[self.method].smooth
        reach = max(_APART, self.parameter) if self.method == "savgol" else _APART
        for rows in np.split(np.arange(len(times)), np.flatnonzero(np.diff(times) > reach) + 1):
            if len(rows) >= _LEAST_ROWS:
                smoothed[rows] = smooth(curves[rows].astype(np.float64), times[rows], self.parameter)
        return smoothed


@dataclass(frozen=True)
class SmoothingFilter:
    """One way to smooth.

    Attributes:
        smooth: takes (N, ...) float64 curves without gaps, their (N,) increasing times in seconds, and the parameter;
            gives the smoothed curves.
        unit: of the parameter, "Hz" or "seconds".
        default: its value where none is given.
        limits: the lowest and the highest value.
    """

    smooth: Callable[[np.ndarray, np.ndarray, float], np.ndarray]
    unit: str
    default: float
    limits: tuple[float, float]


def list_filters() -> str:
    """The filters as help texts name them: `butterworth:HZ, savgol:SECONDS, one-euro:HZ or none`."""
    return ", ".join(f"{name}:{filter_.unit.upper()}" for name, filter_ in FILTERS.items()) + " or none"


def _on_clock(curves: np.ndarray, times: np.ndarray, smooth: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    from scipy.interpolate import CubicSpline

    ticks, kept = np.arange(0, times[-1] - times[0] + 1 / CLOCK_HZ, 1 / CLOCK_HZ) + times[0], knots(times)
    columns = curves.reshape(len(curves), -1)
    own_times, own = (times, columns) if kept.all() else (times[kept], columns[kept])
    # Past the last time the spline would extrapolate; one tick of the last value is enough.
    within = np.minimum(ticks, own_times[-1])
    smoothed = np.empty_like(columns)
    # A curve at a time of a long clip: on the clock, and in splines, each is dozens of times as large as it was.
    for some in np.array_split(np.arange(columns.shape[1]), -(-columns.shape[1] * len(ticks) // _AT_ONCE) or 1):
        even = CubicSpline(own_times, own[:, some])(within)
        smoothed[:, some] = CubicSpline(ticks, smooth(even))(times)
    return smoothed.reshape(curves.shape)


def butterworth(curves: np.ndarray, times: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """Fourth-order low-pass, forward and backward: no phase shift, -6 dB at the cut-off."""
    # Half a period of the slowest passed motion is mirrored at each end, as far as the clip is that long.
    pad = round(CLOCK_HZ / cutoff_hz)

    def smooth(even: np.ndarray) -> np.ndarray:
        beyond = min(pad, len(even) - 1)
        before, after = 2 * even[:1] - even[beyond:0:-1], 2 * even[-1:] - even[-2 : -beyond - 2 : -1]
        mirrored = np.concatenate([before, even, after])
        smoothed = _low_pass(_low_pass(mirrored, cutoff_hz)[::-1], cutoff_hz)[::-1]
        return smoothed[beyond : len(smoothed) - beyond]

    return _on_clock(curves, times, smooth)


def _low_pass(even: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """(N, C) values on the clock through a second-order Butterworth filter, as if the first had been there for ever.

    The recursion y[n] + a1 y[n-1] + a2 y[n-2] = b (x[n] + 2 x[n-1] + x[n-2]) is a triangular system with three
    diagonals. `scipy.signal` has it too, and takes half a second of processor or more to import.
    """
    from scipy.linalg import solve_banded

    # The bilinear transform of 1 / (s^2 + sqrt(2) s + 1), with the cut-off where it was.
    warped = np.tan(np.pi * cutoff_hz / CLOCK_HZ)
    scale = 1 + np.sqrt(2) * warped + warped**2
    gain = warped**2 / scale
    diagonals = np.array([1, 2 * (warped**2 - 1) / scale, (1 - np.sqrt(2) * warped + warped**2) / scale])
    longer = np.concatenate([even[:1], even[:1], even])
    right = gain * (longer[2:] + 2 * longer[1:-1] + longer[:-2])
    right[0] -= diagonals[1:].sum() * even[0]
    right[1] -= diagonals[2] * even[0]
    bands = np.repeat(diagonals[:, None], len(even), axis=1)
    return solve_banded((2, 0), bands, right, overwrite_ab=True, overwrite_b=True, check_finite=False)


def savitzky_golay(curves: np.ndarray, times: np.ndarray, window_seconds: float) -> np.ndarray:
    """A cubic fitted around each moment over a window of so many seconds, or over the whole clip when that is less."""
    from scipy.signal import savgol_filter

    def smooth(even: np.ndarray) -> np.ndarray:
        window = min(round(window_seconds * CLOCK_HZ) | 1, len(even) - 1 + len(even) % 2)
        return savgol_filter(even, window, polyorder=3, axis=0) if window > 3 else even

    return _on_clock(curves, times, smooth)


class OneEuro:
    """The One-Euro filter, a value at a time: causal, for live use; the faster a value moves, the less it is smoothed.

    Casiez, Roussel and Vogel, "1 Euro filter", algorithm 1, with time in seconds.

    Args:
        cutoff_hz: cut-off at rest.
        beta: how much the cut-off rises for each unit a second (metres a second, for joints).
    """

    def __init__(self, cutoff_hz: float, beta: float = 0.5) -> None:
        self._cutoff_hz, self._beta = cutoff_hz, beta
        self._time = -np.inf
        self._raw = self._speed = self._smooth = np.zeros(0)

    def __call__(self, value: np.ndarray, time: float) -> np.ndarray:
        """The next value, smoothed; `time` in seconds, later than the one before."""
        if self._time == -np.inf:
            self._speed, self._smooth = np.zeros_like(value), value
        else:
            seconds = time - self._time
            self._speed = self._speed + _blend(1.0, seconds) * ((value - self._raw) / seconds - self._speed)
            cutoff = self._cutoff_hz + self._beta * np.abs(self._speed)
            self._smooth = self._smooth + _blend(cutoff, seconds) * (value - self._smooth)
        self._time, self._raw = time, value
        return self._smooth


def _blend(cutoff: np.ndarray | float, seconds: float) -> np.ndarray | float:
    """The weight of a new value in an exponential low-pass."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * seconds))


def one_euro(curves: np.ndarray, times: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """`OneEuro` along whole curves."""
    smooth = OneEuro(cutoff_hz)
    return np.stack([smooth(value, time) for value, time in zip(curves, times.tolist(), strict=True)])


FILTERS = {
    # Beyond a third of the clock's rate, the clock itself would shape the curve.
    "butterworth": SmoothingFilter(butterworth, "Hz", 6.0, (0.1, CLOCK_HZ / 3)),
    # A cubic through fewer than five ticks of the clock smooths nothing.
    "savgol": SmoothingFilter(savitzky_golay, "seconds", 0.25, (0.02, 60.0)),
    "one-euro": SmoothingFilter(one_euro, "Hz", 1.0, (0.01, CLOCK_HZ / 3)),
}
"""Name -> the filter; beside them there is `none`."""
