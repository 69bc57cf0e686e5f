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

_METRES = {
    "m": 1.0, "mm": 1e-3, "cm": 1e-2, "meters": 1.0, "millimeters": 1e-3, "dm": 0.1, "in": 0.0254, "inch": 0.0254,
    "inches": 0.0254, "ft": 0.3048, "feet": 0.3048,
}  # fmt: skip
_TALLEST, _SMALLEST = 4.0, 0.2
"""Metres that a body is high at most, and large at least; a marker file of others is in other units than it says."""


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
        unit = header.get("Units", "").strip()
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
        points = without_unseen(values[:, 2:].reshape(len(values), len(names), 3)) * _scale(unit)
        return points_table(names, points @ Z_UP_TO_Y_UP, rate_of(header.get("DataRate")), values[:, 1], unit)


def read_c3d(path: Path) -> KeypointTable:
    """One person's joints.

    Raises:
        VidposeError: it is no C3D file, its units are unknown, or its points are no joints; says which.
    """
    with reading(path, "a C3D file of joints"):
        file = read_c3d_points(path)
        unit = file.unit or "mm"
        points = file.positions * _scale(unit)
        if file.up == "y":
            points = points @ Z_UP_TO_Y_UP
        rate = rate_of(file.fps)
        times = None if file.start is None else file.start + np.arange(len(points)) / float(rate)
        return points_table(file.names, points, rate, times, unit)


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


def points_table(
    names: Sequence[str], points: np.ndarray, rate: Fraction, times: np.ndarray | None, unit: str = "m"
) -> KeypointTable:
    """One person, in Human3.6M's joints.

    Args:
        points: (F, markers, 3) metres, Z up, NaN where absent.
        times: (F,) seconds from the video's start; None where the file does not say when it begins.
        unit: of the file's lengths, for messages.

    Raises:
        ValueError: they are no body's.
    """
    if not len(points) or len(points) > MAX_FRAMES:
        raise ValueError(f"{len(points)} frames")
    joints, scores, layout = as_h36m(names, points)
    check_heights(joints, unit)
    there = np.isfinite(joints).all(axis=-1).any(axis=1)
    frames = np.flatnonzero(there)
    moments = np.arange(len(points)) / float(rate)
    if times is not None and np.isfinite(times).all() and (np.diff(times) > 0).all():
        moments = times
    elif times is not None and np.isfinite(times[0]):  # two decimals are too few at 120 a second
        moments = moments + times[0]
    return KeypointTable(
        layout, frames, np.ones(len(frames), np.int64), joints[there], scores[there],
        num_frames=len(points), times=moments, fps=rate, by_time=times is not None,
    )  # fmt: skip


def check_heights(joints: np.ndarray, unit: str = "m") -> None:
    """See that bodies (F, 17, 3), in metres, Z up, are as large as bodies are.

    Args:
        unit: in which the file says its lengths are.

    Raises:
        ValueError: they are higher, or much smaller; or no joint is ever there.
    """
    there = np.isfinite(joints).all(axis=-1, keepdims=True)
    known = there.any(axis=1)[:, 0]
    if not known.any():
        raise ValueError("none of its joints is ever there")
    extents = np.where(there, joints, -np.inf).max(axis=1) - np.where(there, joints, np.inf).min(axis=1)
    # Who lies is not high, and several joints are needed to be large at all.
    height = float(np.median(extents[known, 2]))
    size = float(np.median(extents[known].max(axis=1)))
    several = np.median(there[known].sum(axis=1)) > len(H36M_17) / 2
    if height > _TALLEST or (several and size < _SMALLEST):
        metres = float(f"{height if height > _TALLEST else size:.2g}")
        raise ValueError(
            f"a body {metres:g} m high where lengths are in {unit}; correct the file's unit, or scale it to metres"
        )


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
