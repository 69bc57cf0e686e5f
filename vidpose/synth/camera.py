"""A pinhole camera that looks at a point of the room."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class StudioCamera:
    """A camera without distortion, its picture level.

    World: metres, z up. Camera frame: x right, y down, z forward. Pixels: (0, 0) is the top left corner of the picture,
    so the centre of the first pixel is (0.5, 0.5).

    Attributes:
        width, height: of the picture in pixels.
        focal: focal length in pixels.
        position: where the camera stands, world metres.
        target: the point that appears in the middle of the picture, world metres.
    """

    width: int
    height: int
    focal: float
    position: tuple[float, float, float]
    target: tuple[float, float, float]

    @cached_property
    def rotation(self) -> np.ndarray:
        """(3, 3) float64, world to camera; its rows are the camera's axes."""
        forward = np.subtract(self.target, self.position)
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward])

    @property
    def world_to_camera(self) -> np.ndarray:
        """(3, 4) float64: rotation and translation."""
        return np.column_stack([self.rotation, -self.rotation @ np.asarray(self.position)])

    @property
    def centre(self) -> tuple[float, float]:
        """The principal point (cx, cy) in pixels: the middle of the picture."""
        return self.width / 2, self.height / 2

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) in the camera's frame."""
        return (points - np.asarray(self.position)) @ self.rotation.T

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) in front of the camera to pixels (..., 2)."""
        seen = self.to_camera(points)
        return self.focal * seen[..., :2] / seen[..., 2:] + np.asarray(self.centre)

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Unit directions in the world, (3, N) float32, of the rays through pixels (N, 2)."""
        x, y = ((pixels - np.asarray(self.centre)) / self.focal).T
        directions = self.rotation.T @ np.stack([x, y, np.ones_like(x)])
        return (directions / np.linalg.norm(directions, axis=0)).astype(np.float32)
