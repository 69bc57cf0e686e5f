"""OpenSim motion files (`.mot`): joint angles under the coordinate names of OpenSim's full-body models.

The format is described in the OpenSim documentation, "Motion (.mot) Files". Names, axes and signs are those of the
model that `vidpose.export.rajagopal` describes: a body's x is forward, y up, z to its right; a ball joint turns about
z, x and y in that order; knees flex positively. Angles are those at which that model's own bones, a few degrees off
these axes, point where the person's do. Flexion of ankles and wrists and rotation of forearms are there where the body
has feet and hands, within the model's ranges and about straight axes, which the model's are near; one camera does not
tell inversion of a foot and deviation of a wrist.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.linalg import solveh_banded
from scipy.spatial.transform import Rotation

from vidpose.body.pieces import pieces
from vidpose.body.tracks import PoseResult, Track
from vidpose.common.files import replacing
from vidpose.export.placing import EvenClock, facing_x, place_of, placed_joints
from vidpose.export.rajagopal import ARM, HIP, LEG, RANGES, ModelLimb, ModelSizes
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


_CALM = 0.02
"""Weight, beside the square of the cosine of how far an arm is out to the side, of an even `arm_flex`."""


_BALLS: Mapping[str, tuple[str, str, str, int, float]] = {
    "pelvis": ("pelvis_tilt", "pelvis_list", "pelvis_rotation", 1, 0),
    "lumbar": ("lumbar_extension", "lumbar_bending", "lumbar_rotation", 1, 0),
    **{f"hip_{mark}": (f"hip_flexion_{mark}", f"hip_adduction_{mark}", f"hip_rotation_{mark}", sign, 0)
       for mark, sign in (("r", 1), ("l", -1))},
    **{f"arm_{mark}": (f"arm_flex_{mark}", f"arm_add_{mark}", f"arm_rot_{mark}", sign, _CALM)
       for mark, sign in (("r", 1), ("l", -1))},
}  # fmt: skip
"""Ball joints: the names of their angles, and how `_ball` takes them apart."""


def write_mot(result: PoseResult, track: Track, path: Path, heading: float | None = None) -> None:
    """Write one person's joint angles in degrees and the place of the pelvis in metres, y up.

    The format knows no absent values: short gaps are bridged by interpolation, through longer ones the last are held.

    Args:
        heading: as `vidpose.export.placing.facing_x` has it.

    Raises:
        UsageError: no rest pose is known for the result's layout.
        VidposeError: the file cannot be written.
    """
    clock, figure = EvenClock.of(result.source), Figure.of(result, track)
    figure = figure.moved(*facing_x(result, placed_joints(result, track, "y", guessed=True), heading))
    times = clock.times_of(clock.frames_of(track))
    columns = {"time": times, **coordinates(figure.at(times))}
    lines = [
        "Coordinates", "version=1", f"nRows={len(times)}", f"nColumns={len(columns)}", "inDegrees=yes", "",
        "Units are S.I. units (second, meters, Newtons, ...)", "Angles are in degrees.",
        f"Positions are {place_of(result).value}.", "endheader", "\t".join(columns),
    ]  # fmt: skip
    with (
        replacing(path) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.writelines(f"{line}\n" for line in lines)
        for part in pieces(len(times)):
            rows = np.stack([column[part] for column in columns.values()], axis=1).tolist()
            file.writelines("\t".join(f"{value:.6f}" for value in row) + "\n" for row in rows)


def coordinates(figure: Figure) -> dict[str, np.ndarray]:
    """(K,) degrees, and metres for the place of the pelvis' origin, of OpenSim's coordinates."""
    size = ModelSizes.of(figure.joints(), figure.layout).pelvis
    parts = []
    for rows in pieces(len(figure.times)):
        turned = dict(zip(figure.layout.joints, figure.turns[rows].swapaxes(0, 1), strict=True))
        parts.append(_turned_part(turned, figure.roots[rows], size))
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    del parts
    values: dict[str, np.ndarray] = {}
    # An angle of a ball joint depends on those of the frames before: only now can it be told.
    for name, column in whole.items():
        values |= _ball(column, *_BALLS[name]) if name in _BALLS else {name: column}
    return values


def _turned_part(turned: Mapping[str, np.ndarray], roots: np.ndarray, size: float) -> dict[str, np.ndarray]:
    """`coordinates` of some keyframes, but of ball joints how they are turned, (K, 3, 3), by names of `_BALLS`.

    Args:
        turned: (K, 3, 3) by joint, as of a `Figure`.
        roots: (K, 3) metres, likewise.
        size: of the pelvis (`ModelSizes`).
    """
    pelvis, torso = turned["pelvis"] @ _TO_OPENSIM.T, turned["thorax"] @ _TO_OPENSIM.T
    values = {"pelvis": pelvis}
    origin = roots - pelvis @ (HIP * (1, 1, 0) * size)
    values |= dict(zip(("pelvis_tx", "pelvis_ty", "pelvis_tz"), origin.T, strict=True))
    for side, mark in (("right", "r"), ("left", "l")):
        bones = [turned[f"{side}_{joint}"] @ _TO_OPENSIM.T for joint in ("hip", "knee")]
        femur, flexion = _limb(LEG if side == "right" else LEG.mirrored(), *bones)
        values[f"hip_{mark}"] = _between(pelvis, femur)
        values[f"knee_angle_{mark}"] = np.degrees(flexion)
        if f"{side}_toe" in turned:
            upwards, _, _ = _turns(turned[f"{side}_knee"], turned[f"{side}_ankle"], "XYZ")
            values[f"ankle_angle_{mark}"] = np.clip(-upwards, *RANGES["ankle_angle"])
    values["lumbar"] = _between(pelvis, torso)
    for side, mark, sign in (("right", "r", 1), ("left", "l", -1)):
        hanging = _ARM_DOWN[side].T @ _TO_OPENSIM.T
        bones = [turned[f"{side}_{joint}"] @ hanging for joint in ("shoulder", "elbow")]
        humerus, flexion = _limb(ARM if side == "right" else ARM.mirrored(), *bones)
        values[f"arm_{mark}"] = _between(torso, humerus)
        values[f"elbow_flex_{mark}"] = np.degrees(flexion)
        if f"{side}_index" in turned:
            pronation, flexion, _ = _turns(turned[f"{side}_elbow"], turned[f"{side}_wrist"], "XZY")
            values[f"pro_sup_{mark}"] = np.clip(90 + pronation, *RANGES["pro_sup"])
            values[f"wrist_flex_{mark}"] = np.clip(sign * flexion, *RANGES["wrist_flex"])
    return values


def _turns(bone: np.ndarray, end: np.ndarray, order: str) -> np.ndarray:
    """(3, K) degrees that a foot or hand is turned against its bone, about axes of the rest pose in that order."""
    return Rotation.from_matrix(_between(bone, end)).as_euler(order, degrees=True).T


def _between(parent: np.ndarray, child: np.ndarray) -> np.ndarray:
    return parent.swapaxes(-1, -2) @ child


def _limb(limb: ModelLimb, upper: np.ndarray, lower: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How the model's upper bone is turned, (K, 3, 3), and its hinge, (K,) radians, for its limb to point as ours does.

    Args:
        upper, lower: (K, 3, 3) our bones, which point along -y.
    """
    above, below = -upper[..., 1], -lower[..., 1]
    along = limb.upper / np.linalg.norm(limb.upper)
    # The least turn that points the model's bone as ours; then a roll about it, until the hinge's plane holds the lower
    # one. A straight limb has no plane.
    tilt = Rotation.align_vectors(along, np.array([0.0, -1, 0]))[0].as_matrix()
    bone = upper @ tilt.T
    flexion = limb.flexion(np.arctan2(np.linalg.norm(np.cross(above, below), axis=-1), (above * below).sum(axis=-1)))
    there = (bone @ limb.bent(flexion)[..., None])[..., 0]
    aside = [one - (one * above).sum(axis=-1, keepdims=True) * above for one in (there, below)]
    roll = np.arctan2((np.cross(*aside) * above).sum(axis=-1), (aside[0] * aside[1]).sum(axis=-1))
    square = np.square(aside[1]).sum(axis=-1)
    roll *= square / (square + _STRAIGHT**2)
    return Rotation.from_rotvec(roll[:, None] * above).as_matrix() @ bone, flexion


def _ball(turns: np.ndarray, about_z: str, about_x: str, about_y: str, sign: int, calm: float) -> dict[str, np.ndarray]:
    """The three angles of a ball joint; on the left, the sign of those that are mirrored is turned over.

    Args:
        turns: (K, 3, 3).
        calm: how much the angle about z, which has no value where the bone lies along z, is held near the last one
            there; the others then make up for it. 0: not at all.
    """
    z, x, y = np.radians(euler_angles(turns)).T
    if calm and len(z) > 1:
        weights = np.square(np.cos(x))
        bands = np.zeros((2, len(z)))
        bands[1] = weights + calm * np.array([1, *[2] * (len(z) - 2), 1])
        bands[0, 1:] = -calm
        z = solveh_banded(bands, weights * z)
        rest = Rotation.from_euler("z", -z[:, None]).as_matrix() @ turns
        x = x + (np.arctan2(rest[:, 2, 1], rest[:, 1, 1]) - x + np.pi) % (2 * np.pi) - np.pi
        rest = Rotation.from_euler("x", -x[:, None]).as_matrix() @ rest
        y = np.unwrap(np.arctan2(rest[:, 0, 2] - rest[:, 2, 0], rest[:, 0, 0] + rest[:, 2, 2]))
    return {about_z: np.degrees(z), about_x: sign * np.degrees(x), about_y: sign * np.degrees(y)}
