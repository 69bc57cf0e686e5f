"""Equations in which a frame's unknowns meet only those of the next few frames, solved in time linear in the length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import solveh_banded


def solve_block_band(blocks: Sequence[np.ndarray], right: np.ndarray) -> np.ndarray:
    """(N, U) the solution, by Cholesky's method.

    Args:
        blocks: (N, U, U) each, of a symmetric positive definite matrix: the diagonal, then what couples each frame with
            the next one, with the one after, and so on. The last rows of these couple with nothing, and do not count.
        right: (N, U).
    """
    frames, unknowns = right.shape
    rows = np.zeros((frames, unknowns, (len(blocks) + 1) * unknowns))
    for apart, block in enumerate(blocks):
        rows[: frames - apart, :, apart * unknowns : (apart + 1) * unknowns] = block[: frames - apart]
    # LAPACK wants, for every column, the entries from the diagonal down, which are those of the row from there on.
    width = len(blocks) * unknowns
    places = np.arange(unknowns)[:, None] + np.arange(width)
    band = np.take_along_axis(rows, places[None], axis=2).reshape(-1, width).T
    return solveh_banded(band, right.ravel(), lower=True, overwrite_ab=True, check_finite=False).reshape(right.shape)
