"""Rigid and similarity transformations, cameras. Camera frame: x right, y down, z forward, metres."""

from __future__ import annotations

import numpy as np

Z_UP_TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""(3, 3) turns a frame with z up into one with y up, as OpenSim, glTF and BVH have it: x stays, y becomes -z."""

CAMERA_TO_Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""(3, 3) turns the camera's frame, its y down, into one with z up: x stays, what is farther away has the larger y."""

CAMERA_TO_Y_UP = Z_UP_TO_Y_UP @ CAMERA_TO_Z_UP
"""(3, 3) turns the camera's frame into one with y up: half a turn about x, so that z points at the camera."""


def similarity_align(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """`moving` after the rotation, scale and translation that bring it closest to `fixed`, in least squares.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", eqs. 40 to 42: the
    rotation is proper, never a reflection.

    Args:
        moving, fixed: (..., J, 3) points; each leading index is aligned by itself.

    Returns:
        (..., J, 3) aligned points.
    """
    moving_mean, fixed_mean = moving.mean(axis=-2, keepdims=True), fixed.mean(axis=-2, keepdims=True)
    moving_centred, fixed_centred = moving - moving_mean, fixed - fixed_mean
    u, singular, vt = np.linalg.svd(np.swapaxes(fixed_centred, -1, -2) @ moving_centred)
    sign = np.ones_like(singular)
    sign[..., -1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[..., None, :]) @ vt
    # Points that all coincide have no size to be scaled, and stay together at the other's mean.
    size = np.square(moving_centred).sum(axis=(-1, -2))
    scale = (singular * sign).sum(axis=-1) / np.where(size > 0, size, 1)
    return scale[..., None, None] * moving_centred @ np.swapaxes(rotation, -1, -2) + fixed_mean


def ray_turns(points: np.ndarray) -> np.ndarray:
    """The shortest rotations from the optical axis to the rays through points.

    Args:
        points: (..., 3) in the camera's frame, in front of it.

    Returns:
        (..., 3, 3); `vectors @ ray_turns(points)` are vectors in the frame of the ray, whose z axis it is, and
        `vectors @ ray_turns(points).T` come back.
    """
    x, y, z = np.moveaxis(points / np.linalg.norm(points, axis=-1, keepdims=True), -1, 0)
    share = 1 / (1 + z)
    rows = [1 - x * x * share, -x * y * share, x, -x * y * share, 1 - y * y * share, y, -x, -y, z]
    return np.stack(rows, axis=-1).reshape(*points.shape, 3)


def rotate(quaternion: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points turned by a unit quaternion.

    Args:
        quaternion: (4,), the real part first.
        points: (..., 3).

    Returns:
        (..., 3) turned points.
    """
    real, axis = quaternion[0], quaternion[1:]
    across = np.cross(axis, points)
    return points + 2 * (real * across + np.cross(axis, across))


def world_to_camera(points: np.ndarray, orientation: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Points of the world as a camera has them.

    Args:
        points: (..., 3) in the world's frame.
        orientation: (4,) unit quaternion, the real part first, that turns the camera's frame into the world's.
        position: (3,) of the camera in the world, in the unit of the points.

    Returns:
        (..., 3) in the camera's frame.
    """
    return rotate(orientation * np.array([1, -1, -1, -1]), points - position)


def project(
    points: np.ndarray, focal: np.ndarray, centre: np.ndarray, radial: np.ndarray, tangential: np.ndarray
) -> np.ndarray:
    """Where a camera with a distorting lens sees points, in Human3.6M's model.

    Its tangential distortion is (p . x) x + p |x|^2, where OpenCV's has a factor of two on the first term. Beyond 45
    degrees beside, above or below the axis the polynomials mean nothing, and points are held there, as VideoPose3D
    does.

    Args:
        points: (..., 3) in the camera's frame, in front of it.
        focal, centre: (2,) pixels.
        radial: (3,) factors of the second, fourth and sixth power of the distance from the axis.
        tangential: (2,) factors along x and y.

    Returns:
        (..., 2) pixels.
    """
    ideal = np.clip(points[..., :2] / points[..., 2:], -1, 1)
    square = np.square(ideal).sum(axis=-1, keepdims=True)
    factor = 1 + square * (radial[0] + square * (radial[1] + square * radial[2]))
    factor = factor + (ideal * tangential).sum(axis=-1, keepdims=True)
    return focal * (ideal * factor + tangential * square) + centre
