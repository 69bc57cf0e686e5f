"""Joint angles as tables: every frame, and a summary that sets left against right."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidpose.body.joint_angles import AngleSummary, angular_velocity, segment_lengths, sides, symmetry, track_angles
from vidpose.body.seen import observed_joints
from vidpose.body.skeletons import get_skeleton
from vidpose.body.tracks import PoseResult
from vidpose.common.files import replacing

TYPICAL_ERRORS = {
    "knee_flexion": 7.0, "hip_flexion": 9.2, "hip_abduction": 3.2, "hip_rotation": 4.4, "ankle_flexion": 6.4,
    "elbow_flexion": 9.5, "shoulder_flexion": 14.4, "shoulder_abduction": 3.8, "shoulder_elevation": 6.8,
    "wrist_flexion": 8.9, "forearm_rotation": 17.4, "trunk_lean_forward": 4.3, "trunk_lean_right": 1.6,
}  # fmt: skip
"""Degrees, mean absolute errors of one camera on the rendered samples, as docs/angles.md has them; of hands, on a body
that moves them."""


def write_angles(result: PoseResult, names: Sequence[str], path: Path) -> None:
    """Write `id, frame, time`, the angles in degrees, then `..._velocity` of each in degrees a second.

    A row for each person and frame; what is absent is an empty cell.

    Args:
        result: people with 3D joints.
        names: of angles, as `vidpose.body.joint_angles.joint_angles` calls them.
        path: of the CSV file.

    Raises:
        VidposeError: the file cannot be written.
    """
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "frame", "time", *names, *(f"{name}_velocity" for name in names)])
        for track in result.tracks:
            angles = track_angles(result, track)
            curves = [angles[name] for name in names]
            curves += [angular_velocity(curve, track.times) for curve in curves]
            for frame, time, *row in zip(track.frames, track.times, *curves, strict=True):
                table.writerow([track.id, frame, f"{time:.6f}", *map(_cell, row)])


def write_angle_summary(result: PoseResult, names: Sequence[str], path: Path) -> None:
    """Write, for each person, the median and the range of every angle and segment length on either side.

    The columns: `id, quantity, unit, side, median, low, high, range, symmetry_percent, typical_error`. Symmetry is
    Robinson's index of the two sides, of their ranges of motion for angles and of their medians for lengths; a fitted
    body has none for lengths, as its sides are equal by construction. The typical error is `TYPICAL_ERRORS`'s, of one
    camera.

    Args, Raises: as `write_angles`.
    """
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "quantity", "unit", "side", "median", "low", "high", "range", "symmetry_percent",
                        "typical_error"])  # fmt: skip
        for track in result.tracks:
            equal = np.isfinite(track.rotations).all(axis=-1).any()
            angles = track_angles(result, track)
            lengths = segment_lengths(observed_joints(result, track), get_skeleton(result.joint_layout))
            quantities = [("degrees", 2, {name: AngleSummary.of(angles[name]) for name in names})]
            quantities += [("metres", 4, {name: AngleSummary.of(length) for name, length in lengths.items()})]
            for unit, digits, summaries in quantities:
                for stem, full_names in sides(summaries).items():
                    found = [summaries[name] for name in full_names]
                    index = ""
                    if len(found) == 2 and (unit == "degrees" or not equal):
                        compared = [one.range if unit == "degrees" else one.median for one in found]
                        index = _cell(symmetry(*compared), 1)
                    error = _cell(TYPICAL_ERRORS.get(stem, np.nan), 1) if result.agreement is None else ""
                    for name, one in zip(full_names, found, strict=True):
                        side = "" if name == stem else name.split("_")[0]
                        numbers = (_cell(value, digits) for value in (one.median, one.low, one.high, one.range))
                        table.writerow([track.id, stem, unit, side, *numbers, index, error])


def _cell(value: float, digits: int = 2) -> str:
    return "" if np.isnan(value) else f"{value:.{digits}f}"
