"""Vicon's `.xcp`: cameras in XML, in millimetres, Z up.

Vicon publishes no description. Three programs that read the file agree on this, and one of them checked it by where
cameras see each other: ORIENTATION is a quaternion x, y, z, w that takes the world to a camera that looks along z, y
down; POSITION is the camera's place; a point of the picture, moved away from the centre of the lens by 1 + k1 r^2 +
k2 r^4 + k3 r^6 with r in pixels, is where it would be without the lens. `check_turned` sees whether a file bears the
first of these out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from scipy.spatial.transform import Rotation

from vidpose.common.inputs import short
from vidpose.views.cameras import ViewCamera

_OFF_CENTRE = 2.0
"""Pixels that a lens's centre may be from the principal point: OpenCV's model knows one centre."""

_INEXACT = 0.25
"""Pixels that OpenCV's coefficients may be off."""

_PARALLEL = 1e3
"""Condition from which on cameras that look the same way do not tell where."""


def vicon_cameras(root: Element) -> Iterator[dict[str, Any]]:
    """Of each video camera, or of all where none is called one, what describes it in OpenCV's terms, in metres.

    Raises:
        ValueError, KeyError: a number is none, or missing.
    """
    cameras = [camera for camera in root.iterfind("Camera") if camera.find("KeyFrames/KeyFrame") is not None]
    videos = [camera for camera in cameras if camera.get("ISDV") == "2" or "video" in camera.get("TYPE", "").lower()]
    for camera in videos or cameras:
        name = camera.get("DEVICEID", "")
        pose = camera.find("KeyFrames/KeyFrame")
        assert pose is not None
        width, height = _numbers(camera, "SENSOR_SIZE", name, 2)
        [focal] = _numbers(pose, "FOCAL_LENGTH", name, 1)
        centre = _numbers(pose, "PRINCIPAL_POINT", name, 2)
        aspect = float(camera.get("PIXEL_ASPECT_RATIO", "1"))
        if not focal > 0 or not aspect > 0:
            raise ValueError(f"camera {short(name)}: a focal length of {focal:g} and an aspect ratio of {aspect:g}")
        quaternion = _numbers(pose, "ORIENTATION", name, 4)
        if not np.isclose(np.linalg.norm(quaternion), 1, atol=1e-2):
            raise ValueError(f"camera {short(name)}: its ORIENTATION is no unit quaternion")
        rotation = Rotation.from_quat(quaternion).as_matrix()
        yield {
            "name": name,
            "size": (width, height),
            "matrix": [[focal, 0, centre[0]], [0, focal / aspect, centre[1]], [0, 0, 1]],
            "distortion": _lens(pose, name, (width, height), focal, centre),
            "rotation": rotation,
            "translation": -rotation @ _numbers(pose, "POSITION", name, 3) / 1000,
        }


def check_turned(cameras: Sequence[ViewCamera]) -> None:
    """See that cameras look at one place, which they would not if their turns were understood the wrong way round.

    Raises:
        ValueError: they do not.
    """
    axes = np.stack([camera.rotation[2] for camera in cameras])
    places = np.stack([camera.position for camera in cameras])
    aside = np.eye(3) - axes[:, :, None] * axes[:, None]
    if np.linalg.cond(aside.sum(axis=0)) > _PARALLEL:
        return
    middle = np.linalg.solve(aside.sum(axis=0), (aside @ places[..., None]).sum(axis=0)[:, 0])
    for camera, axis, place in zip(cameras, axes, places, strict=True):
        if axis @ (middle - place) <= 0:
            raise ValueError(
                f"camera {short(camera.name)} looks away from where the others look, so that its ORIENTATION "
                "is not what it is in other .xcp files"
            )


def _numbers(element: Element, key: str, name: str, count: int) -> np.ndarray:
    if key not in element.attrib:
        raise KeyError(f"{key} of camera {short(name)}")
    values = np.array([float(word) for word in element.attrib[key].split()])
    if len(values) != count or not np.isfinite(values).all():
        raise ValueError(f"camera {short(name)}: {key} is {short(element.attrib[key])}, where {count} numbers are due")
    return values


def _lens(pose: Element, name: str, size: tuple[float, float], focal: float, centre: np.ndarray) -> tuple[float, ...]:
    """OpenCV's k1, k2, p1, p2, k3, which go the other way: the nearest ones, over the whole picture."""
    words = pose.get("VICON_RADIAL2", pose.get("VICON_RADIAL", "")).split()
    if words and words[0] == "Vicon3Parameter":
        own, terms = [float(word) for word in words[1:3]], [float(word) for word in words[3:]]
        if len(own) < 2 or np.hypot(*(own - centre)) > _OFF_CENTRE:
            raise ValueError(f"camera {short(name)}: its lens has another centre than its picture")
    else:
        terms = [float(word) for word in words]
    if len(terms) > 3 or not np.isfinite(terms).all():
        raise ValueError(f"camera {short(name)}: a lens of {len(terms)} terms, where three are known")
    farthest = np.hypot(*np.maximum(centre, np.array(size) - centre))
    seen = np.linspace(0, farthest, 200)[1:]
    ideal = seen * (1 + sum(term * seen ** (2 * power) for power, term in enumerate(terms, start=1)))
    if not (np.diff(ideal) > 0).all():
        raise ValueError(f"camera {short(name)}: its lens folds the picture over")
    slope = ideal / focal
    powers = slope[:, None] ** np.array([3, 5, 7])
    fitted = np.linalg.lstsq(powers, seen / focal - slope, rcond=None)[0]
    if focal * np.abs(powers @ fitted - seen / focal + slope).max() > _INEXACT:
        raise ValueError(f"camera {short(name)}: its lens bends more than OpenCV's model can say")
    return (fitted[0], fitted[1], 0.0, 0.0, fitted[2])
