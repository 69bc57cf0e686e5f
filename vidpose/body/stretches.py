"""Where a person's frames hang together: stretches, the gaps between them, and jumps of time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

MAX_GAP = 0.5
"""Seconds that may be bridged, unless a user says otherwise."""

_UNUSUAL = 2.5
"""Of the usual interval between frames: a video of one picture a minute is no row of jumps."""

_TOO_NEAR = 0.25
"""Of the usual interval: frames that are no further apart are of one moment."""


def stretches(there: np.ndarray) -> list[slice]:
    """The maximal runs of True in an (N,) mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def lasting(there: np.ndarray, rows: int) -> np.ndarray:
    """(N,) mask: True only in those runs of True that are at least so many rows long."""
    kept = np.zeros(len(there), bool)
    for run in stretches(there):
        kept[run] = run.stop - run.start >= rows
    return kept


def jumps(times: np.ndarray, max_seconds: float = MAX_GAP) -> np.ndarray:
    """Whether time jumps after each frame but the last: further than may be bridged, and than frames usually lie apart.

    Screen recorders and surveillance cameras leave out what does not move.

    Args:
        times: (N,) increasing seconds.
        max_seconds: the longest step that may be bridged.

    Returns:
        (N - 1,) bool.
    """
    steps = np.diff(times)
    usual = np.sort(steps)[(len(steps) - 1) // 2] if len(steps) else 0.0
    return steps > max(max_seconds, _UNUSUAL * usual) + 1e-9


def knots(times: np.ndarray) -> np.ndarray:
    """The rows that a spline may go through: all, but those that hardly any time lies before.

    Some programs write two frames a tick of the clock apart. What trembles by a pixel would swing by hundreds around.

    Args:
        times: (N,) increasing seconds.

    Returns:
        (N,) bool; of two rows or more, two at least.
    """
    steps = np.diff(times)
    kept = np.ones(len(times), bool)
    if not len(steps) or steps.min() >= (least := _TOO_NEAR * np.median(steps)):
        return kept
    last = times[0]
    for row, moment in enumerate(times[1:].tolist(), start=1):
        kept[row] = moment - last >= least
        last = moment if kept[row] else last
    return kept


def unbroken(there: np.ndarray, times: np.ndarray, max_seconds: float = MAX_GAP) -> list[slice]:
    """The runs of True in an (N,) mask, each ended where time jumps."""
    after = np.flatnonzero(jumps(times, max_seconds)) + 1
    parts = []
    for run in stretches(there):
        ends = [run.start, *after[(after > run.start) & (after < run.stop)].tolist(), run.stop]
        parts += [slice(start, stop) for start, stop in pairwise(ends)]
    return parts


def bridgeable(there: np.ndarray, times: np.ndarray, max_seconds: float = MAX_GAP) -> np.ndarray:
    """(N,) mask: True also in gaps that lie between two True rows at most `max_seconds` apart."""
    bridged = there.copy()
    for gap in stretches(~there):
        if gap.start > 0 and gap.stop < len(there) and times[gap.stop] - times[gap.start - 1] <= max_seconds:
            bridged[gap] = True
    return bridged
