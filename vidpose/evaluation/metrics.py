"""The benchmarks' error measures. Positions are in metres (or any unit: the result is in the same), in numpy.

Each gives the error of every frame and joint, (..., J); averaging is the protocol's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vidpose.body.geometry import similarity_align

PCK_THRESHOLD = 0.150
"""Metres: half the size of a head, by MPI-INF-3DHP."""

AUC_THRESHOLDS = np.arange(31) * 0.005
"""Metres: 0 to 150 mm, as MPI-INF-3DHP's own evaluation has them. At 0 no joint is correct, so AUC ends at 30/31."""


@dataclass(frozen=True)
class Metric:
    """How a measure is called in tables.

    Attributes:
        name: as the papers print it.
        unit: of the figures in tables.
        factor: from the measure's own unit to the table's.
    """

    name: str
    unit: str
    factor: float = 1000


METRICS: Mapping[str, Metric] = {
    "mpjpe": Metric("MPJPE", "mm"),
    "mpve": Metric("MPVE", "mm"),
    "p_mpjpe": Metric("P-MPJPE", "mm"),
    "n_mpjpe": Metric("N-MPJPE", "mm"),
    "mpjve": Metric("MPJVE", "mm/frame"),
    "mpjve_per_second": Metric("MPJVE", "mm/s"),
    "acceleration": Metric("Acc. error", "mm/frame²"),
    "pck": Metric("PCK", "%", 100),
    "auc": Metric("AUC", "%", 100),
    "ap": Metric("AP", "%", 100),
    "ar": Metric("AR", "%", 100),
    "pck_2d": Metric("PCK", "%", 100),
    "mse": Metric("MSE", "px²", 1),
}


def mpjpe(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Protocol 1: Euclidean distances of (..., J, 3) positions that share a root."""
    return np.linalg.norm(predicted - target, axis=-1)


def mpve(predicted: np.ndarray, target: np.ndarray, roots: np.ndarray, true_roots: np.ndarray) -> np.ndarray:
    """Distances of (..., V, 3) vertices of a mesh once its (..., 3) root joint is moved to the true one: (..., V).

    SSR-STF, section IV.G.
    """
    return np.linalg.norm((predicted - roots[..., None, :]) - (target - true_roots[..., None, :]), axis=-1)


def p_mpjpe(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Protocol 2: distances after the best rotation, scale and translation of each frame, reflections excluded."""
    return mpjpe(similarity_align(predicted, target), target)


def n_mpjpe(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Protocol 3: distances after the best scale of each frame, in least squares about the root.

    Rhodin et al., "Unsupervised geometry-aware representation for 3D human pose estimation", ECCV 2018.
    """
    power = np.square(predicted).sum(axis=(-1, -2), keepdims=True)
    scale = (predicted * target).sum(axis=(-1, -2), keepdims=True) / np.maximum(power, np.finfo(power.dtype).tiny)
    return mpjpe(scale * predicted, target)


def mpjve(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Distances of the first differences along the frames of (..., T, J, 3) positions: (..., T - 1, J)."""
    return mpjpe(np.diff(predicted, axis=-3), np.diff(target, axis=-3))


def acceleration_error(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Distances of the second differences along the frames of (..., T, J, 3) positions: (..., T - 2, J).

    Kanazawa et al., "Learning 3D human dynamics from video", CVPR 2019.
    """
    return mpjpe(np.diff(predicted, n=2, axis=-3), np.diff(target, n=2, axis=-3))


def pck(predicted: np.ndarray, target: np.ndarray, threshold: float = PCK_THRESHOLD) -> np.ndarray:
    """Whether joints are nearer than the threshold, 150 mm of positions in metres: (..., J) bool.

    Mehta et al., "Monocular 3D human pose estimation in the wild using improved CNN supervision", 3DV 2017.
    """
    return mpjpe(predicted, target) < threshold


def auc(predicted: np.ndarray, target: np.ndarray, thresholds: np.ndarray = AUC_THRESHOLDS) -> np.ndarray:
    """The share of thresholds that joints are nearer than: (..., J); its mean is the mean of PCK over the thresholds.

    Args:
        thresholds: ascending, in the positions' unit.
    """
    reached = np.searchsorted(thresholds, mpjpe(predicted, target), side="right")
    return 1 - reached / len(thresholds)
