"""Joints in 3D: TRC and C3D files, and the table that `vidpose infer` writes.

TRC is described in the OpenSim documentation, "Marker (.trc) Files": Y is up. C3D: c3d.org; Z is up, unless POINT's
X_SCREEN and Y_SCREEN say otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidpose.body.geometry import Z_UP_TO_Y_UP
from vidpose.body.skeletons import H36M_17, Skeleton, get_conversion
from vidpose.common.errors import UsageError
from vidpose.common.inputs import read_text, reading, short
from vidpose.keypoint_files.c3d_reader import read_c3d_points, without_unseen
from vidpose.keypoint_files.joint_names import named_layout
from vidpose.keypoint_files.keypoint_table import MAX_FRAMES, KeypointTable

_METRES = {"m": 1.0, "mm": 1e-3, "cm": 1e-2, "meters": 1.0, "millimeters": 1e-3, "dm": 0.1}
_TALLEST = 4.0
"""Metres that a body is high at most; a marker file whose bodies are higher is in other units than it says."""


def read_trc(path: Path) -> KeypointTable:
    """One person's joints.

    Raises:
        VidposeError: it is no TRC file, its units are unknown, or its markers are no joints; says which.
    """
    with reading(path, "a TRC file of joints"):
        lines = [line.split("\t") for line in read_text(path).splitlines()]
        if len(lines) < 6 or not lines[0][0].startswith("PathFileType"):
            raise ValueError("its first line is no PathFileType")
        header = dict(zip((name.strip() for name in lines[1]), lines[2], strict=False))
        scale = _scale(header.get("Units", "").strip())
        names = [name.strip() for name in lines[3][2:] if name.strip()]
        body = [line for line in lines[5:] if line[0].strip()]
        width = 2 + 3 * len(names)
        rows = [[cell.strip() or "nan" for cell in (*line, *[""] * (width - len(line)))][:width] for line in body]
        for number, row in enumerate(rows):
            try:
                list(map(float, row))
            except ValueError as error:
                raise ValueError(f"row {number + 1}: {error}") from None
        values = np.array(rows, np.float64).reshape(-1, width)
        points = without_unseen(values[:, 2:].reshape(len(values), len(names), 3)) * scale
        return points_table(names, points @ Z_UP_TO_Y_UP, rate_of(header.get("DataRate")), values[:, 1])


def read_c3d(path: Path) -> KeypointTable:
    """One person's joints.

    Raises:
        VidposeError: it is no C3D file, its units are unknown, or its points are no joints; says which.
    """
    with reading(path, "a C3D file of joints"):
        file = read_c3d_points(path)
        points = file.positions * _scale(file.unit or "mm")
        if file.up == "y":
            points = points @ Z_UP_TO_Y_UP
        rate = rate_of(file.fps)
        return points_table(file.names, points, rate, np.arange(len(points)) / float(rate))


def _scale(units: str) -> float:
    if units.lower() not in _METRES:
        raise ValueError(f"lengths in {units!r}, where {', '.join(_METRES)} are known")
    return _METRES[units.lower()]


def rate_of(stated: object) -> Fraction:
    """Frames a second, from whatever a file says.

    Raises:
        ValueError: it cannot be.
    """
    try:
        rate = Fraction(str(stated).strip()).limit_denominator(100_000)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1_000_000:
        raise ValueError(f"a rate of {short(stated)} frames a second")
    return rate


def points_table(names: Sequence[str], points: np.ndarray, rate: Fraction, times: np.ndarray) -> KeypointTable:
    """One person, in Human3.6M's joints.

    Args:
        points: (F, markers, 3) metres, Z up, NaN where absent.
        times: (F,) seconds.

    Raises:
        ValueError: they are no body's.
    """
    if not len(points) or len(points) > MAX_FRAMES:
        raise ValueError(f"{len(points)} frames")
    joints, scores, layout = as_h36m(names, points)
    check_heights(joints)
    there = np.isfinite(joints).all(axis=-1).any(axis=1)
    frames = np.flatnonzero(there)
    steady = len(times) == len(points) and np.isfinite(times).all() and (np.diff(times) > 0).all()
    moments = times - times[0] if steady else np.arange(len(points)) / float(rate)
    return KeypointTable(
        layout, frames, np.ones(len(frames), np.int64), joints[there], scores[there],
        num_frames=len(points), times=moments, fps=rate,
    )  # fmt: skip


def check_heights(joints: np.ndarray) -> None:
    """See that bodies (F, 17, 3), Z up, are as high as bodies are.

    Raises:
        ValueError: they are higher; or no joint is ever there.
    """
    heights = np.nanmax(np.where(np.isfinite(joints[..., 2]), joints[..., 2], np.nan), axis=1, initial=-np.inf)
    low = np.nanmin(np.where(np.isfinite(joints[..., 2]), joints[..., 2], np.nan), axis=1, initial=np.inf)
    known = np.isfinite(heights) & np.isfinite(low)
    if not known.any():
        raise ValueError("none of its joints is ever there")
    if np.median((heights - low)[known]) > _TALLEST:
        raise ValueError(f"a body {np.median((heights - low)[known]):.0f} m high; its units are no metres")


def as_h36m(names: Sequence[str], points: np.ndarray) -> tuple[np.ndarray, np.ndarray, Skeleton]:
    """Named points (F, P, 3) as joints of `H36M_17` (F, 17, 3), their scores, and the layout.

    Raises:
        ValueError: they are no joints.
    """
    layout, order = named_layout(names)
    joints = np.full((len(points), len(layout), 3), np.nan)
    for joint, place in enumerate(order):
        if place >= 0:
            joints[:, joint] = points[:, place]
    scores = np.isfinite(joints).all(axis=-1).astype(np.float64)
    if layout != H36M_17:
        try:
            joints, scores = get_conversion(layout.name, H36M_17.name)(joints, scores)
        except UsageError as error:
            raise ValueError(str(error)) from None
    return joints, scores, H36M_17
