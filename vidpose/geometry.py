"""Rigid and similarity transformations, cameras. Camera frame: x right, y down, z forward, metres."""

from __future__ import annotations

import numpy as np


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
    scale = (singular * sign).sum(axis=-1) / np.square(moving_centred).sum(axis=(-1, -2))
    return scale[..., None, None] * moving_centred @ np.swapaxes(rotation, -1, -2) + fixed_mean
