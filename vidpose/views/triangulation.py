"""Points in space from where several cameras see them.

Shapes begin with V views, or with those of the points. The rows of the linear system, (x P3 - P1) and (y P3 - P2) for
ideal image coordinates x and y, say how many metres a point lies beside the ray, measured at its own distance. Least
squares over them therefore weighs views as they deserve: a keypoint is wrong by a part of the body, not by a number of
pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from vidpose.views.cameras import ViewCamera

_TOLERANCE = 0.1
"""Metres between a ray and a point that it is still taken to see. On real video, BlazePose's rays pass 1 to 2 cm
beside; farther off than this, the lifter is the better guess."""

_LEAST_SINE = 0.05
"""Of the angle between two rays, 3 degrees: below it, the distance along them is anyone's guess."""


@dataclass(frozen=True)
class Points:
    """Triangulated points.

    Attributes:
        positions: (..., 3) world metres; NaN where no two views agree.
        agreeing: (V, ...) bool: the views that see the point there.
        errors: (V, ...) how far the point lies beside what the view saw, in ideal coordinates: times the focal length,
            pixels. Infinite where nothing is triangulated, or behind the camera.
    """

    positions: np.ndarray
    agreeing: np.ndarray
    errors: np.ndarray


def triangulate(ideal: np.ndarray, weights: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Weighted linear triangulation (Hartley and Zisserman, Multiple View Geometry, section 12.2, inhomogeneous).

    Args:
        ideal: (V, ..., 2) ideal image coordinates; what they are does not matter where the weight is 0.
        weights: (V, ...) of the squared distances.
        matrices: (V, 3, 4) world to camera.

    Returns:
        (..., 3) positions; NaN where fewer than two views have a weight.
    """
    shape = (len(matrices),) + (1,) * (ideal.ndim - 2)
    first, second, third = (matrices[:, row].reshape(*shape, 4) for row in range(3))
    rows = np.stack([ideal[..., :1] * third - first, ideal[..., 1:] * third - second], axis=-2)
    weighted = np.where(weights[..., None, None] > 0, rows, 0) * np.sqrt(weights)[..., None, None]
    system = np.moveaxis(weighted, 0, -3).reshape(*weights.shape[1:], -1, 4)
    products = system.swapaxes(-1, -2) @ system
    normal, moments = products[..., :3, :3], -products[..., :3, 3]
    enough = (weights > 0).sum(axis=0) >= 2
    normal = np.where(enough[..., None, None], normal, np.eye(3))
    # Rays that run side by side have no one nearest point; a trace of damping keeps the system solvable.
    normal = normal + 1e-12 * np.trace(normal, axis1=-2, axis2=-1)[..., None, None] * np.eye(3)
    positions = np.linalg.solve(normal, moments[..., None])[..., 0]
    return np.where(enough[..., None], positions, np.nan)


def triangulate_robustly(ideal: np.ndarray, scores: np.ndarray, cameras: Sequence[ViewCamera]) -> Points:
    """Points that at least two views agree on, and which views those are.

    Every pair of views proposes a point; the proposal that all views together contradict least is taken (the MSAC cost
    of Torr and Zisserman, "MLESAC", 2000, each view weighted by its score), and solved again with all views that agree.

    Args:
        ideal: (V, ..., 2) ideal image coordinates, NaN where a view does not see the point.
        scores: (V, ...) confidence, 0 where it is not to be used.
        cameras: V of them.
    """
    matrices = np.stack([camera.world_to_camera for camera in cameras])
    scores = np.where(np.isfinite(ideal).all(axis=-1), scores, 0).astype(np.float64)
    least = np.full(scores.shape[1:], np.inf)
    agreeing = np.zeros(scores.shape, bool)
    for pair in combinations(range(len(cameras)), 2):
        two = list(pair)
        proposed = triangulate(ideal[two], scores[two], matrices[two])
        beside = distances(proposed, ideal, matrices)[0]
        agree = (beside <= _TOLERANCE) & (scores > 0)
        contradiction = (scores * np.where(agree, beside / _TOLERANCE, 1) ** 2).sum(axis=0)
        sound = agree[two].all(axis=0) & (_sine(proposed, *(cameras[v].position for v in pair)) >= _LEAST_SINE)
        better = sound & (contradiction < least)
        least = np.where(better, contradiction, least)
        agreeing = np.where(better, agree, agreeing)
    positions = triangulate(ideal, scores * agreeing, matrices)
    return Points(positions, agreeing, distances(positions, ideal, matrices)[1])


def distances(positions: np.ndarray, ideal: np.ndarray, matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far points lie beside rays.

    Args:
        positions: (..., 3) world metres.
        ideal: (V, ..., 2) what the views saw.
        matrices: (V, 3, 4) world to camera.

    Returns:
        (V, ...) metres at the point's own distance, and (V, ...) in ideal coordinates; infinite for points behind a
        camera, or that are not known.
    """
    homogeneous = np.concatenate([positions, np.ones_like(positions[..., :1])], axis=-1)
    seen = np.stack([homogeneous @ matrix.T for matrix in matrices])
    depths = np.where(seen[..., 2] > 0, seen[..., 2], np.nan)
    errors = np.linalg.norm(seen[..., :2] / depths[..., None] - ideal, axis=-1)
    return np.nan_to_num(errors * depths, nan=np.inf), np.nan_to_num(errors, nan=np.inf)


def _sine(positions: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(...) sine of the angle at which two cameras' rays meet in points; NaN for NaN."""
    first, second = positions - a, positions - b
    across = np.linalg.norm(np.cross(first, second), axis=-1)
    return across / (np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1))
