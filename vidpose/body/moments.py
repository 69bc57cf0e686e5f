"""What rows that have their own times are at other moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidpose.body.stretches import jumps

_SAME_TIME = 1e-6
"""Seconds: where a row and a moment are no further apart, the row is taken as it is."""


@dataclass(frozen=True, slots=True)
class Between:
    """Between which two rows moments lie, and how far on the way.

    Attributes:
        before: (M,) the row before each moment.
        after: (M,) the row at it or after it.
        share: (M,) of the second row; the first has what is left of 1.
        jumped: (M,) bool: time jumps between the two.
    """

    before: np.ndarray
    after: np.ndarray
    share: np.ndarray
    jumped: np.ndarray

    @staticmethod
    def of(times: np.ndarray, moments: np.ndarray) -> Between:
        """For rows at (N,) increasing seconds, and moments at (M,) seconds from the first row's to the last one's."""
        after = np.searchsorted(times, moments - _SAME_TIME).clip(0, len(times) - 1)
        before = np.maximum(after - 1, 0)
        span = times[after] - times[before]
        share = np.where(span > 0, (moments - times[before]) / np.where(span > 0, span, 1), 1).clip(0, 1)
        share = np.where(np.abs(times[after] - moments) <= _SAME_TIME, 1, share)
        return Between(before, after, share, np.append(False, jumps(times))[after])

    def sample(self, values: np.ndarray, rows: slice = slice(None)) -> np.ndarray:
        """What `values` (N, ...) are at some of the moments, all unless told, (m, ...).

        The linear interpolation of both rows; NaN where either is, and where time jumps between them.
        """
        first, second = values[self.before[rows]], values[self.after[rows]]
        share = self.share[rows].reshape(-1, *(1,) * (values.ndim - 1))
        mixed = (1 - share) * first + share * second
        mixed[self.jumped[rows]] = np.nan
        return np.where(share == 1, second, np.where(share == 0, first, mixed))
