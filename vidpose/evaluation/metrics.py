"""The benchmarks' error measures. Positions are in metres (or any unit: the result is in the same), in numpy.

Each gives the error of every frame and joint, (..., J); averaging is the protocol's business.
"""

from __future__ import annotations

import numpy as np

from vidpose.geometry import similarity_align


def mpjpe(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Protocol 1: Euclidean distances of (..., J, 3) positions that share a root."""
    return np.linalg.norm(predicted - target, axis=-1)


def p_mpjpe(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Protocol 2: distances after the best rotation, scale and translation of each frame, reflections excluded."""
    return mpjpe(similarity_align(predicted, target), target)


def mpjve(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Distances of the first differences along the frames of (..., T, J, 3) positions: (..., T - 1, J)."""
    return mpjpe(np.diff(predicted, axis=-3), np.diff(target, axis=-3))
