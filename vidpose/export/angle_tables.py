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

    The columns: `id, quantity, unit, side, median, low, high, range, symmetry_percent`. The last is Robinson's index
    of the two sides, of their ranges of motion for angles and of their medians for lengths.

    Args, Raises: as `write_angles`.
    """
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "quantity", "unit", "side", "median", "low", "high", "range", "symmetry_percent"])
        for track in result.tracks:
            angles = track_angles(result, track)
            lengths = segment_lengths(observed_joints(result, track), get_skeleton(result.joint_layout))
            quantities = [("degrees", 2, {name: AngleSummary.of(angles[name]) for name in names})]
            quantities += [("metres", 4, {name: AngleSummary.of(length) for name, length in lengths.items()})]
            for unit, digits, summaries in quantities:
                for stem, full_names in sides(summaries).items():
                    found = [summaries[name] for name in full_names]
                    index = ""
                    if len(found) == 2:
                        compared = [one.range if unit == "degrees" else one.median for one in found]
                        index = _cell(symmetry(*compared), 1)
                    for name, one in zip(full_names, found, strict=True):
                        side = "" if name == stem else name.split("_")[0]
                        numbers = (_cell(value, digits) for value in (one.median, one.low, one.high, one.range))
                        table.writerow([track.id, stem, unit, side, *numbers, index])


def _cell(value: float, digits: int = 2) -> str:
    return "" if np.isnan(value) else f"{value:.{digits}f}"
