"""The fixed virtual cameras that CMU motion capture is seen through, as `cmu_test_cameras.json` publishes them.

Figures on them can be compared between programs: the file says all there is to know. Focal length and picture are those
of Human3.6M's cameras, distances, yaws and pitches those of a room with a camera in each corner.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

PUBLISHED = Path(__file__).with_name("cmu_test_cameras.json")


@dataclass(frozen=True)
class VirtualCamera:
    """A pinhole camera that stands where it sees all of a sequence.

    Attributes:
        name: of the camera.
        yaw, pitch: direction of view in degrees: about z from x towards y, and downwards.
        distance: metres to the middle of a sequence that fits into the picture from there.
        width, height, focal: pixels; the principal point is the middle of the picture.
        margin: pixels that every joint keeps from the border.
        nearest: metres that every joint keeps from the camera.
    """

    name: str
    yaw: float
    pitch: float
    distance: float
    width: int
    height: int
    focal: float
    margin: float
    nearest: float

    @cached_property
    def rotation(self) -> np.ndarray:
        """(3, 3) float64, world (z up) to camera; its rows are the camera's axes."""
        yaw, pitch = np.deg2rad(self.yaw), np.deg2rad(self.pitch)
        forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
        right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
        return np.stack([right, np.cross(forward, right), forward])

    def see(self, world: np.ndarray) -> np.ndarray:
        """(F, J, 3) joints of a sequence, metres, z up, in the frame of the camera: x right, y down, z forward."""
        points = world.reshape(-1, 3).astype(np.float64)
        centred = (points - (points.min(axis=0) + points.max(axis=0)) / 2) @ self.rotation.T
        half = np.array([self.width, self.height]) / 2 - self.margin
        needed = (self.focal * np.abs(centred[:, :2]) / half).max(axis=1) - centred[:, 2]
        distance = max(self.distance, needed.max(), self.nearest - centred[:, 2].min())
        return (centred + np.array([0, 0, distance])).reshape(world.shape)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) points in the frame of the camera to (..., 2) pixels."""
        return self.focal * points[..., :2] / points[..., 2:] + np.array([self.width, self.height]) / 2


def published_cameras() -> tuple[VirtualCamera, ...]:
    """The four cameras of the published file."""
    published = json.loads(PUBLISHED.read_text())
    shared = {key: published[key] for key in ("width", "height", "focal", "margin", "nearest")}
    return tuple(VirtualCamera(**camera, **shared) for camera in published["cameras"])
