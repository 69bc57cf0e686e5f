"""Calibration files: Qualisys' .qca.txt, Vicon's .xcp, OpenCV's .yml, .yaml and .xml, the .toml of Anipose and its kin.

Which one a file is, its content says. OpenCV and Qualisys count pixels from the centre of the first one; vidpose from
the corner of the picture, so half a pixel is added to each principal point.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np

from vidpose.common.errors import VidposeError, one_line
from vidpose.common.inputs import read_text, reading, short
from vidpose.views.cameras import Calibration, ViewCamera
from vidpose.views.vicon import check_turned, vicon_cameras

log = logging.getLogger(__name__)

_MAX_BYTES = 10_000_000
_MAX_METRES = 200.0
"""From the middle of all cameras to the one farthest from it. Beyond that, the file counts in millimetres."""

_MAX_NUMBER, _MAX_SIDE = 1e9, 32768
"""Of whatever a calibration says, and of a side of a picture in pixels."""

_DISTORTIONS = (0, 4, 5, 8, 12, 14)
"""How many coefficients OpenCV takes."""


def load_calibration(path: Path) -> Calibration:
    """Read the cameras of a calibration file.

    Raises:
        VidposeError: the file is missing, damaged or of another format, or what it says cannot be.
    """
    with reading(path, "a calibration", _KNOWN):
        content = read_text(path, _MAX_BYTES)
        try:
            cameras = _reader(content)(content)
            cameras = _in_metres(path, cameras)
            _check_together(cameras)
        except ElementTree.ParseError as error:
            raise VidposeError(f"{path}: damaged XML ({error}); write the calibration again") from None
        except tomllib.TOMLDecodeError as error:
            raise VidposeError(f"{path}: neither a calibration nor TOML ({error}); {_KNOWN}") from None
        except KeyError as error:
            raise VidposeError(f"{path}: {error.args[0]} is missing; {_KNOWN}") from None
        except ValueError as error:
            raise VidposeError(f"{path}: {one_line(error)}; write the calibration again") from None
    return Calibration(path, cameras)


_KNOWN = (
    "a Qualisys .qca.txt, a Vicon .xcp, an OpenCV .yml or .xml, and a .toml of Pose2Sim, Anipose, FreeMoCap or "
    "Caliscope are read"
)


def _reader(content: str) -> Callable[[str], tuple[ViewCamera, ...]]:
    start = content.lstrip()
    if start.startswith("<"):
        return _read_opencv if "<opencv_storage" in start[:1000] else _read_xml
    return _read_opencv if start.startswith("%YAML") else _read_toml


def _read_xml(content: str) -> tuple[ViewCamera, ...]:
    """Qualisys' or Vicon's, both in XML."""
    if "<!DOCTYPE" in content:
        raise ValueError("XML with a document type, which no calibration has")
    root = ElementTree.fromstring(content.encode())  # noqa: S314, without a document type there are no entities
    if root.tag == "Cameras":
        cameras = tuple(_camera(**facts, z_up=True) for facts in vicon_cameras(root))
        check_turned(cameras)
        return cameras
    if root.tag != "calibration":
        raise ValueError(f"XML of another kind, <{root.tag}>")
    return _read_qualisys(root)


def _read_qualisys(root: ElementTree.Element) -> tuple[ViewCamera, ...]:
    """Qualisys Track Manager's export. Focal lengths and principal points are in 1/64 pixel, positions in millimetres.

    Its camera frame has y up and z backward, which half a turn about x sets right; r11 to r33 turn the world into it.
    The distortion is OpenCV's: a number without a unit, not to be divided by 64.
    """
    cameras = []
    for camera in root.iterfind("cameras/camera"):
        name = camera.get("serial", "")
        facts = {tag: _attributes(camera, tag, name) for tag in ("fov_video", "transform", "intrinsic")}
        picture, place, lens = facts["fov_video"], facts["transform"], facts["intrinsic"]
        turned = np.array([[place[f"r{row}{column}"] for column in (1, 2, 3)] for row in (1, 2, 3)])
        rotation = np.diag([1.0, -1.0, -1.0]) @ turned
        centre = lens["centerPointU"] / 64 - picture["left"], lens["centerPointV"] / 64 - picture["top"]
        distortion = [lens[key] for key in ("radialDistortion1", "radialDistortion2", "tangentalDistortion1",
                                            "tangentalDistortion2", "radialDistortion3")]  # fmt: skip
        cameras.append(
            _camera(
                name,
                (picture["right"] - picture["left"] + 1, picture["bottom"] - picture["top"] + 1),
                [[lens["focalLengthU"] / 64, 0, centre[0]], [0, lens["focalLengthV"] / 64, centre[1]], [0, 0, 1]],
                distortion,
                rotation,
                -rotation @ np.array([place[axis] for axis in "xyz"]) / 1000,
                z_up=True,
            )
        )
    return tuple(cameras)


def _attributes(camera: ElementTree.Element, tag: str, name: str) -> Mapping[str, float]:
    """The numbers of one element of a camera."""
    element = camera.find(tag)
    if element is None:
        raise KeyError(f"<{tag}> of camera {short(name)}")
    return _Named(f"<{tag}> of camera {short(name)}", {key: float(value) for key, value in element.attrib.items()})


def _read_toml(content: str) -> tuple[ViewCamera, ...]:
    """A table a camera, as Anipose writes it, and FreeMoCap and Pose2Sim after it; Caliscope's are within `cameras`.

    Rotation, a vector or a matrix, and translation take the world to the camera, as OpenCV's. Whether the world has Z
    up, no such file says; it is taken to, where the cameras then stand upright.
    """
    top = tomllib.loads(content)
    nested = top.get("cameras")
    tables = nested if isinstance(nested, dict) else top
    within = "cameras." if isinstance(nested, dict) else ""
    told = top.get("metadata")
    metadata = told if isinstance(told, dict) else {}
    cameras = []
    for key, table in tables.items():
        if not isinstance(table, dict) or key in _NO_CAMERAS or table.get("ignore") is True:
            continue
        facts = _Named(f"[{within}{key}]", table)
        name = facts.get("name", f"cam_{key}" if within else key)
        cameras.append(
            _camera(
                str(name), facts["size"], facts["matrix"], facts["distortions"], facts["rotation"],
                facts["translation"], fisheye=bool(facts.get("fisheye", False)),
            )
        )  # fmt: skip
    if "charuco_square_size" in metadata:  # FreeMoCap's, which counts in millimetres
        cameras = [_scaled(camera, 1e-3) for camera in cameras]
    upright = np.mean([-camera.rotation[1, 2] for camera in cameras]) if cameras else 0.0
    return tuple(replace(camera, z_up=bool(upright > _UPRIGHT)) for camera in cameras)


_NO_CAMERAS = ("metadata", "charuco", "capture_volume", "point_estimates")
"""Tables of other things."""

_UPRIGHT = 0.5
"""Of the way down in a picture, how much is down in the world, on average."""


def _scaled(camera: ViewCamera, metres: float) -> ViewCamera:
    """A camera whose lengths were in another unit, of so many metres."""
    return replace(camera, translation=camera.translation * metres)


_MATRIX = ("camera_matrix", "K", "M")
_LENS = ("distortion_coefficients", "D", "dist")
_ROTATION = ("R", "rvec")
_TRANSLATION = ("T", "t", "tvec")


def _read_opencv(content: str) -> tuple[ViewCamera, ...]:
    """OpenCV's FileStorage, in metres: a map a camera, or the stereo sample's M1, D1, M2, D2, R and T.

    A map has camera_matrix (or K, M), distortion_coefficients (D, dist), R (a matrix or a rotation vector; rvec),
    T (t, tvec), and may have image_width, image_height and fisheye. A number z_up other than 0 at the top says that the
    world has Z up and its floor at 0. Of a stereo pair, the world is the first camera's frame.
    """
    try:
        storage = cv2.FileStorage(content, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        top = _plain(storage.root())
    except (cv2.error, SystemError) as error:
        raise ValueError(f"damaged OpenCV file ({getattr(error, 'err', None) or 'cannot be parsed'})") from None
    if not isinstance(top, dict):
        raise ValueError("an OpenCV file of something else than named values")
    if {"M1", "M2"} <= top.keys():
        facts = _Named("the stereo calibration", top)
        size = _opencv_size(facts)
        return (
            _camera("1", size, facts["M1"], facts["D1"], np.eye(3), np.zeros(3)),
            _camera("2", size, facts["M2"], facts["D2"], facts["R"], facts["T"]),
        )
    cameras = []
    for name, map_ in top.items():
        if isinstance(map_, dict):
            facts = _Named(f"of camera {short(name)}", map_)
            cameras.append(
                _camera(
                    name, _opencv_size(facts), facts.first(_MATRIX), facts.first(_LENS), facts.first(_ROTATION),
                    facts.first(_TRANSLATION), fisheye=bool(facts.get("fisheye", 0)), z_up=bool(top.get("z_up", 0)),
                )
            )  # fmt: skip
    return tuple(cameras)


def _plain(node: cv2.FileNode) -> Any:
    """A node of OpenCV's file as dicts, arrays, lists, numbers and text."""
    if node.isMap():
        keys = set(node.keys())
        # OpenCV 5 writes what has one axis, or more than two, with its sizes.
        if keys >= {"rows", "cols", "data"} or keys >= {"sizes", "data"}:
            return node.mat()
        return {key: _plain(node.getNode(key)) for key in node.keys()}  # noqa: SIM118 (not a mapping)
    if node.isSeq():
        return [_plain(node.at(i)) for i in range(node.size())]
    return node.string() if node.isString() else node.real()


def _opencv_size(facts: Mapping[str, Any]) -> tuple[float, float] | None:
    return (facts["image_width"], facts["image_height"]) if "image_width" in facts else None


class _Named(dict[str, Any]):
    """A dict that says whose key is missing."""

    def __init__(self, whose: str, content: Mapping[str, Any]) -> None:
        super().__init__(content)
        self._whose = whose

    def __missing__(self, key: str) -> Any:
        raise KeyError(f"{key} of {self._whose.removeprefix('of ')}")

    def first(self, keys: Sequence[str]) -> Any:
        """The value of the first of these keys that is there."""
        return self[next((key for key in keys if key in self), keys[0])]


def _camera(
    name: str,
    size: Sequence[float] | None,
    matrix: Any,
    distortion: Any,
    rotation: Any,
    translation: Any,
    *,
    fisheye: bool = False,
    z_up: bool = False,
) -> ViewCamera:
    """A camera from what a file says, once that has been found possible.

    Raises:
        ValueError: it is not.
    """
    k, t = _numbers(matrix, name, "the camera matrix"), _numbers(translation, name, "the translation").ravel()
    lens, r = _numbers(distortion, name, "the distortion").ravel(), _numbers(rotation, name, "the rotation")
    if k.shape != (3, 3) or k[0, 0] <= 0 or k[1, 1] <= 0:
        raise ValueError(f"camera {short(name)}: the camera matrix must be 3x3 with positive focal lengths")
    if len(lens) not in ((4,) if fisheye else _DISTORTIONS):
        raise ValueError(
            f"camera {short(name)}: {len(lens)} distortion coefficients; OpenCV's models have 4, 5, 8 or more"
        )
    if r.size == 3:
        r = cv2.Rodrigues(r.reshape(3, 1))[0]
    if r.shape != (3, 3) or np.abs(r @ r.T - np.eye(3)).max() > 1e-3 or np.linalg.det(r) < 0:
        raise ValueError(
            f"camera {short(name)}: its rotation is none; a rotation matrix or a rotation vector is needed"
        )
    if t.shape != (3,):
        raise ValueError(f"camera {short(name)}: the translation has {len(t)} numbers instead of 3")
    sides = None if size is None else _numbers(size, name, "the size of the picture")
    if sides is not None and (sides.shape != (2,) or not (sides.min() >= 1 and sides.max() <= _MAX_SIDE)):
        raise ValueError(f"camera {short(name)}: its picture's size must be a width and a height in pixels")
    shape = None if sides is None else tuple(round(side) for side in sides.tolist())
    return ViewCamera(
        name, shape, (float(k[0, 0]), float(k[1, 1])), (float(k[0, 2]) + 0.5, float(k[1, 2]) + 0.5),
        tuple(lens.tolist()), fisheye, r, t, z_up,
    )  # fmt: skip


def _numbers(value: Any, name: str, what: str) -> np.ndarray:
    try:
        numbers = np.array(value)
    except (TypeError, ValueError):
        numbers = np.array("")
    # Neither text nor truth values, which numpy would take for numbers too.
    if numbers.dtype.kind not in "iuf" or not (np.abs(numbers) <= _MAX_NUMBER).all():
        raise ValueError(f"camera {short(name)}: {what} is not made of finite numbers")
    return numbers.astype(np.float64)


def _in_metres(path: Path, cameras: Sequence[ViewCamera]) -> tuple[ViewCamera, ...]:
    """The cameras, those that stand too far apart for metres taken to count in millimetres."""
    if len(cameras) < 2 or _farthest(cameras) <= _MAX_METRES:
        return tuple(cameras)
    log.warning(
        "%s: its cameras would stand %.0f m apart; its lengths are taken for millimetres", path, 2 * _farthest(cameras)
    )
    return tuple(_scaled(camera, 1e-3) for camera in cameras)


def _farthest(cameras: Sequence[ViewCamera]) -> float:
    """Metres from the middle of the cameras to the one farthest from it."""
    positions = np.stack([camera.position for camera in cameras])
    return float(np.linalg.norm(positions - positions.mean(axis=0), axis=-1).max())


def _check_together(cameras: Sequence[ViewCamera]) -> None:
    if len(cameras) < 2:
        raise ValueError(f"it has {'one camera' if cameras else 'no camera'}, where two are the least")
    names = [camera.name for camera in cameras]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two cameras are called {short(name)}")
    if _farthest(cameras) > _MAX_METRES:
        raise ValueError(f"its cameras stand {2 * _farthest(cameras):.0f} m apart; lengths must be metres")
