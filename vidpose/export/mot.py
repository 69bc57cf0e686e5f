"""OpenSim motion files (`.mot`): joint angles under the coordinate names of OpenSim's full-body models.

The format is described in the OpenSim documentation, "Motion (.mot) Files". Names, axes and signs are those of
Rajagopal et al., "Full-body musculoskeletal model for muscle-driven simulation of human gait", 2016
(`Rajagopal2016.osim`): a body's x is forward, y up, z to its right; a ball joint turns about z, x and y in that order;
knees flex positively. Left out are ankles, feet, forearm rotation and wrists, which 17 joints do not define.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from vidpose.body.tracks import PoseResult, Track
from vidpose.common.files import replacing
from vidpose.export.placing import EvenClock, place_of
from vidpose.export.rigid_figure import Figure, euler_angles

_TO_OPENSIM = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
"""(3, 3) from the rest pose's axes (x left, y up, z forward) to a model's."""

_ARM_DOWN = {
    "right": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]),
    "left": np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
}
"""(3, 3) from the rest pose, arms to the sides, to OpenSim's, where they hang."""

_STRAIGHT = 0.17
"""Sine of the bend, 10 degrees, at which a limb's plane decides half of how its upper bone rolls."""


def write_mot(result: PoseResult, track: Track, path: Path) -> None:
    """Write one person's joint angles in degrees and the place of the pelvis in metres, y up.

    The format knows no absent values: short gaps are bridged by interpolation, through longer ones the last are held.

    Raises:
        UsageError: no rest pose is known for the result's layout.
        VidposeError: the file cannot be written.
    """
    clock, figure = EvenClock.of(result.source), Figure.of(result, track)
    times = clock.times_of(clock.frames_of(track))
    columns = {"time": times, **coordinates(figure.at(times))}
    lines = [
        "Coordinates", "version=1", f"nRows={len(times)}", f"nColumns={len(columns)}", "inDegrees=yes", "",
        "Units are S.I. units (second, meters, Newtons, ...)", "Angles are in degrees.",
        f"Positions are {place_of(result).value}.", "endheader", "\t".join(columns),
    ]  # fmt: skip
    lines += ["\t".join(f"{value:.6f}" for value in row) for row in np.stack(list(columns.values()), axis=1)]
    with replacing(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="backslashreplace", newline="\n")


def coordinates(figure: Figure) -> dict[str, np.ndarray]:
    """(K,) degrees, and metres for the pelvis' place, of OpenSim's coordinates."""
    turned = dict(zip(figure.layout.joints, figure.turns.swapaxes(0, 1), strict=True))
    pelvis, torso = turned["pelvis"] @ _TO_OPENSIM.T, turned["thorax"] @ _TO_OPENSIM.T
    values = _ball(pelvis, "pelvis_tilt", "pelvis_list", "pelvis_rotation")
    values |= dict(zip(("pelvis_tx", "pelvis_ty", "pelvis_tz"), figure.roots.T, strict=True))
    for side, mark, sign in (("right", "r", 1), ("left", "l", -1)):
        femur, tibia = (turned[f"{side}_{joint}"] @ _TO_OPENSIM.T for joint in ("hip", "knee"))
        femur = _in_plane(femur, tibia)
        names = (f"hip_flexion_{mark}", f"hip_adduction_{mark}", f"hip_rotation_{mark}")
        values |= _ball(_between(pelvis, femur), *names, sign=sign)
        values[f"knee_angle_{mark}"] = -_hinge(_between(femur, tibia))
    values |= _ball(_between(pelvis, torso), "lumbar_extension", "lumbar_bending", "lumbar_rotation")
    for side, mark, sign in (("right", "r", 1), ("left", "l", -1)):
        hanging = _ARM_DOWN[side].T @ _TO_OPENSIM.T
        humerus, ulna = turned[f"{side}_shoulder"] @ hanging, turned[f"{side}_elbow"] @ hanging
        humerus = _in_plane(humerus, ulna)
        values |= _ball(_between(torso, humerus), f"arm_flex_{mark}", f"arm_add_{mark}", f"arm_rot_{mark}", sign=sign)
        values[f"elbow_flex_{mark}"] = _hinge(_between(humerus, ulna))
    return values


def _between(parent: np.ndarray, child: np.ndarray) -> np.ndarray:
    return parent.swapaxes(-1, -2) @ child


def _in_plane(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """The upper bone, rolled about itself until the hinge's plane holds the lower one; a straight limb has no plane."""
    x, _, z = _between(upper, lower)[:, :, 1].T
    square = x**2 + z**2
    roll = -np.arctan2(z * np.sign(x), np.abs(x)) * square / (square + _STRAIGHT**2)
    return upper @ Rotation.from_euler("y", roll[:, None]).as_matrix()


def _hinge(turns: np.ndarray) -> np.ndarray:
    """Degrees between the two bones of a hinge about z, which point along -y; with the sign of the turn about z."""
    x, y, z = turns[:, :, 1].T
    return np.copysign(np.degrees(np.arctan2(np.hypot(x, z), y)), -x)


def _ball(turns: np.ndarray, about_z: str, about_x: str, about_y: str, sign: int = 1) -> dict[str, np.ndarray]:
    """The three angles of a ball joint; on the left, the sign of those that are mirrored is turned over."""
    z, x, y = euler_angles(turns).T
    return {about_z: z, about_x: sign * x, about_y: sign * y}
