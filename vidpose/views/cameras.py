"""A calibrated camera, and which of a calibration's cameras took which video.

World: the calibration's own, in metres. Camera frame: x right, y down, z forward. Pixels: (0, 0) is the top left corner
of the picture, so the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from vidpose.body.tracks import PinholeCamera
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.files import resolved

_MAX_CUT = 16
"""Pixels by which a video may be smaller or larger than its calibration: encoders cut pictures to multiples of 16."""

_SAME_ASPECT = 0.01
_UNDISTORTED = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 50, 1e-12)

_BESIDE = 57.0
"""x / z of a ray 89 degrees off the optical axis: OpenCV answers the right angle for whatever is beyond."""


@dataclass(frozen=True)
class ViewCamera:
    """One camera of a calibration.

    Attributes:
        name: as the calibration calls it.
        size: (width, height) pixels that the rest is meant for; None where the calibration does not say.
        focal, centre: (fx, fy) and (cx, cy) pixels.
        distortion: OpenCV's coefficients: k1, k2, p1, p2, k3 and so on; a fisheye lens's k1 to k4.
        fisheye: whether the lens follows OpenCV's fisheye model.
        rotation: (3, 3) float64, world to camera.
        translation: (3,) float64 metres: a point p of the world lies at rotation @ p + translation.
        z_up: whether the world is known to have Z up and its floor at 0.
    """

    name: str
    size: tuple[int, int] | None
    focal: tuple[float, float]
    centre: tuple[float, float]
    distortion: tuple[float, ...]
    fisheye: bool
    rotation: np.ndarray
    translation: np.ndarray
    z_up: bool

    @property
    def position(self) -> np.ndarray:
        """(3,) where the camera stands, world metres."""
        return -self.rotation.T @ self.translation

    @property
    def world_to_camera(self) -> np.ndarray:
        """(3, 4): rotation and translation."""
        return np.column_stack([self.rotation, self.translation])

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3): the intrinsic matrix."""
        return np.array([[self.focal[0], 0, self.centre[0]], [0, self.focal[1], self.centre[1]], [0, 0, 1]])

    def ideal(self, pixels: np.ndarray) -> np.ndarray:
        """Undo lens and focal length: pixels (..., 2) to x / z and y / z in the camera's frame; NaN stays NaN.

        What a fisheye sees beside itself or behind is NaN, too: there x / z is that of the opposite side.
        """
        flat = np.asarray(pixels, np.float64).reshape(-1, 1, 2)
        there = np.isfinite(flat).all(axis=(1, 2))
        out = np.full_like(flat, np.nan)
        lens = np.array(self.distortion)
        if there.any() and self.fisheye:
            out[there] = cv2.fisheye.undistortPoints(flat[there], self.matrix, lens, criteria=_UNDISTORTED)
            far = np.linalg.norm(out, axis=-1) > _BESIDE
            out[far | (out * (flat - self.centre) < 0).any(axis=-1)] = np.nan
        elif there.any():
            out[there] = cv2.undistortPoints(flat[there], self.matrix, lens, criteria=_UNDISTORTED)
        return out.reshape(np.shape(pixels))

    def for_video(self, video: str | Path, size: tuple[int, int]) -> ViewCamera:
        """The camera in the pixels of a video of that size, which may be a scaled copy of what was calibrated.

        Raises:
            VidposeError: the video's picture has another shape than the calibrated one.
        """
        if self.size is None or max(abs(a - b) for a, b in zip(size, self.size, strict=True)) < _MAX_CUT:
            return self
        scale = size[0] / self.size[0], size[1] / self.size[1]
        if abs(scale[0] / scale[1] - 1) > _SAME_ASPECT:
            raise VidposeError(
                f"{video}: its pictures are {size[0]}x{size[1]}, but camera {self.name!r} was calibrated with "
                f"{self.size[0]}x{self.size[1]}; give the calibration of this video"
            )
        focal, centre = ((pair[0] * scale[0], pair[1] * scale[1]) for pair in (self.focal, self.centre))
        return replace(self, size=size, focal=focal, centre=centre)

    def pinhole(self) -> PinholeCamera:
        """The same camera without its lens's distortion, for a result."""
        to_world = np.column_stack([self.rotation.T, self.position]) if self.z_up else None
        return PinholeCamera(self.focal, self.centre, to_world)


@dataclass(frozen=True)
class Calibration:
    """The cameras of a calibration file, in its order."""

    path: Path
    cameras: tuple[ViewCamera, ...]


def assign(calibration: Calibration, videos: Sequence[Path]) -> tuple[tuple[ViewCamera, ...], str]:
    """Which camera took which video.

    A video is its camera's when the two names are equal, else when one contains the other as whole words, else when
    they end in the same number; the first of these rules that finds every video a camera of its own holds for all.
    Where none does, the order of the cameras in the file is that of the videos, if there are as many.

    Returns:
        A camera for each video, and "name" or "order", which says how it was found.

    Raises:
        UsageError: fewer than two videos, one of them twice, or not as many cameras.
    """
    if len(videos) < 2:
        raise UsageError("`calibration` is for several views of one scene; give at least two videos")
    files = [resolved(video) for video in videos]
    for i, video in enumerate(videos):
        if files[i] in files[:i]:
            raise UsageError(f"{video} is given twice; every view needs a video of its own")
    cameras = calibration.cameras
    if len(videos) > len(cameras):
        raise UsageError(f"{calibration.path} has {_count(len(cameras), 'camera')}, but {len(videos)} videos are given")
    for is_of in _NAMING:
        found = [[camera for camera in cameras if is_of(_stem(video), camera.name)] for video in videos]
        if all(len(some) == 1 for some in found) and len({some[0].name for some in found}) == len(videos):
            return tuple(some[0] for some in found), "name"
    if len(videos) == len(cameras):
        return cameras, "order"
    raise UsageError(
        f"{calibration.path} has {len(cameras)} cameras ({', '.join(camera.name for camera in cameras)}) and "
        f"{len(videos)} videos are given; name the videos after their cameras"
    )


def _equal(video: str, camera: str) -> bool:
    return video.casefold() == camera.casefold()


def _contains(video: str, camera: str) -> bool:
    a, b = (re.findall(r"\d+|[^\W\d_]+", name.casefold()) for name in (video, camera))
    if len(a) < len(b):
        a, b = b, a
    return bool(b) and any(a[i : i + len(b)] == b for i in range(len(a) - len(b) + 1))


def _same_number(video: str, camera: str) -> bool:
    a, b = (re.search(r"(\d+)\D*$", name) for name in (video, camera))
    return a is not None and b is not None and int(a[1]) == int(b[1])


_NAMING: tuple[Callable[[str, str], bool], ...] = (_equal, _contains, _same_number)


def _stem(video: Path) -> str:
    return resolved(video).name if video.is_dir() else video.stem


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
