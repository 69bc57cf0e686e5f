"""A body like those of CMU's database, and its movements written as ASF, AMC and BVH in the files' own forms.

Rotations are scipy's: "xyz" turns about fixed axes, x first; "ZYX" about axes that turn along.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

UNIT = 0.0254 / 0.45
"""Metres of a length unit of CMU's files."""

_S, _C = 0.3420201433, 0.9396926208  # sine and cosine of 20 degrees
# name, parent, direction in the rest pose, length, axis, degrees of freedom
BONES = (
    ("lhipjoint", "root", (0.6259, -0.7303, 0.2738), 2.5, (0, 0, 0), ""),
    ("lfemur", "lhipjoint", (_S, -_C, 0), 7.2, (0, 0, 20), "rx ry rz"),
    ("ltibia", "lfemur", (_S, -_C, 0), 7.8, (0, 0, 20), "rx"),
    ("lfoot", "ltibia", (0.0900, -0.2473, 0.9648), 2.1, (-90, 0, 20), "rx rz"),
    ("ltoes", "lfoot", (0, 0, 1), 1.0, (-90, 0, 20), "rx"),
    ("rhipjoint", "root", (-0.6259, -0.7303, 0.2738), 2.5, (0, 0, 0), ""),
    ("rfemur", "rhipjoint", (-_S, -_C, 0), 7.2, (0, 0, -20), "rx ry rz"),
    ("rtibia", "rfemur", (-_S, -_C, 0), 7.8, (0, 0, -20), "rx"),
    ("rfoot", "rtibia", (-0.0900, -0.2473, 0.9648), 2.1, (-90, 0, -20), "rx rz"),
    ("rtoes", "rfoot", (0, 0, 1), 1.0, (-90, 0, -20), "rx"),
    ("lowerback", "root", (0, 0.9975, -0.0706), 2.1, (0, 0, 0), "rx ry rz"),
    ("upperback", "lowerback", (0, 1, 0), 2.1, (0, 0, 0), "rx ry rz"),
    ("thorax", "upperback", (0, 0.99938, 0.0353), 2.1231, (0, 0, 0), "rx ry rz"),
    ("lowerneck", "thorax", (0, 0.9950, 0.0998), 1.8, (0, 0, 0), "rx ry rz"),
    ("upperneck", "lowerneck", (0, 0.9833, -0.1818), 1.8, (0, 0, 0), "rx ry rz"),
    ("head", "upperneck", (0, 0.9975, -0.0706), 1.8, (0, 0, 0), "rx ry rz"),
    ("lclavicle", "thorax", (0.9443, 0.2998, -0.1354), 3.6, (0, 0, 0), "ry rz"),
    ("lhumerus", "lclavicle", (1, 0, 0), 5.3, (180, -30, -90), "rx ry rz"),
    ("lradius", "lhumerus", (1, 0, 0), 3.6, (180, -30, -90), "rx"),
    ("lwrist", "lradius", (1, 0, 0), 1.8, (0, 90, 90), "ry"),
    ("rclavicle", "thorax", (-0.9443, 0.2998, -0.1354), 3.6, (0, 0, 0), "ry rz"),
    ("rhumerus", "rclavicle", (-1, 0, 0), 5.3, (180, 30, 90), "rx ry rz"),
    ("rradius", "rhumerus", (-1, 0, 0), 3.6, (180, 30, 90), "rx"),
    ("rwrist", "rradius", (-1, 0, 0), 1.8, (0, -90, -90), "ry"),
)
PARENTS = {name: parent for name, parent, *_ in BONES}

MOTIONBUILDER = {
    "root": "Hips", "lhipjoint": "LHipJoint", "lfemur": "LeftUpLeg", "ltibia": "LeftLeg", "lfoot": "LeftFoot",
    "ltoes": "LeftToeBase", "rhipjoint": "RHipJoint", "rfemur": "RightUpLeg", "rtibia": "RightLeg",
    "rfoot": "RightFoot", "rtoes": "RightToeBase", "lowerback": "LowerBack", "upperback": "Spine", "thorax": "Spine1",
    "lowerneck": "Neck", "upperneck": "Neck1", "head": "Head", "lclavicle": "LeftShoulder", "lhumerus": "LeftArm",
    "lradius": "LeftForeArm", "lwrist": "LeftHand", "rclavicle": "RightShoulder", "rhumerus": "RightArm",
    "rradius": "RightForeArm", "rwrist": "RightHand",
}  # fmt: skip
"""The joint at the start of each bone."""

Movement = dict[str, np.ndarray]
"""(F, 6) position and angles of "root", (F, degrees of freedom) angles of the bones; CMU's units and degrees."""


def movement(frames: int, seed: int = 0, swing: float = 25.0) -> Movement:
    """Every joint swings smoothly by up to `swing` degrees, while the body walks and turns."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None] / 120

    def wave(count: int) -> np.ndarray:
        return swing * np.sin(2 * np.pi * rng.uniform(0.3, 1, count) * t + rng.uniform(0, 6, count))

    moves = {name: wave(len(dof.split())) for name, *_, dof in BONES if dof}
    path = np.concatenate([9 * t - 3, 17 + 0 * t, 4 * t], axis=1)
    return {"root": np.concatenate([path, wave(3)], axis=1)} | moves


def write_asf(path: Path, angle: str = "deg", dof_order: slice = slice(None)) -> Path:
    """The body as VICON's software writes it."""
    lines = [
        "# AST/ASF file generated using VICON BodyLanguage", ":version 1.10", ":name VICON", ":units", "  mass 1.0",
        "  length 0.45", f"  angle {angle}", ":documentation", "   .ast/.asf automatically generated from VICON data",
        ":root", "   order TX TY TZ RX RY RZ", "   axis XYZ", "   position 0 0 0  ", "   orientation 0 0 0 ",
        ":bonedata",
    ]  # fmt: skip
    for i, (name, _, direction, length, axis, dof) in enumerate(BONES):
        axis = np.deg2rad(axis) if angle == "rad" else axis
        lines += ["  begin", f"     id {i + 1} ", f"     name {name}", f"     direction {_words(direction)}   "]
        lines += [f"     length {length}  ", f"     axis {_words(axis)}   XYZ"]
        if dof:
            lines += [f"    dof {' '.join(dof.split()[dof_order])}", "    limits (-160.0 20.0)"]
            lines += ["           (-70.0 70.0)"] * (len(dof.split()) - 1)
        lines.append("  end")
    lines += [":hierarchy", "  begin"]
    for parent in dict.fromkeys(PARENTS.values()):
        lines.append(f"    {parent} {' '.join(name for name in PARENTS if PARENTS[name] == parent)}")
    path.write_text("\n".join([*lines, "  end", ""]))
    return path


def write_amc(path: Path, moves: Movement) -> Path:
    lines = ["#!OML:ASF F:\\VICON\\USERDATA\\INSTALL\\rory3\\rory3.ASF", ":FULLY-SPECIFIED", ":DEGREES"]
    for frame in range(len(moves["root"])):
        lines += [str(frame + 1), *(f"{name} {_words(values[frame])}" for name, values in moves.items())]
    path.write_text("\n".join([*lines, ""]))
    return path


def _words(values) -> str:
    return " ".join(f"{value:.10g}" for value in values)


def pose(moves: Movement) -> tuple[dict[str, np.ndarray], dict[str, Rotation]]:
    """The bones' ends in metres, y up, (F, 3) each, and how each bone is turned in the world: by scipy."""
    ends = {"root": UNIT * moves["root"][:, :3]}
    turns = {"root": Rotation.from_euler("xyz", moves["root"][:, 3:], degrees=True)}
    for name, parent, direction, length, _, _ in BONES:
        turns[name] = turns[parent] * local(name, moves)
        ends[name] = ends[parent] + UNIT * length * turns[name].apply(direction)
    return ends, turns


def local(name: str, moves: Movement) -> Rotation:
    """How a bone is turned against its parent."""
    axis, dof = next(bone[4:] for bone in BONES if bone[0] == name)
    frame = Rotation.from_euler("xyz", axis, degrees=True)
    angles = np.zeros((len(moves["root"]), 3))
    for i, channel in enumerate(dof.split()):
        angles[:, "xyz".index(channel[1])] = moves[name][:, i]
    return frame * Rotation.from_euler("xyz", angles, degrees=True) * frame.inv()


def write_bvh(
    path: Path,
    moves: Movement,
    names: dict[str, str] | None = None,
    *,
    whole: bool = True,
    t_pose: bool = False,
    scale: float = 1.0,
) -> Path:
    """The movement as a conversion of ASF and AMC writes it: a joint at the start of each bone.

    Args:
        names: of the joints, by bone; None: the bones' own.
        whole: the children of the thorax at its end; or, as amc2bvh puts them, at its start.
        t_pose: put a frame without rotations first.
        scale: of all lengths.
    """
    start = {name: scale * length * np.array(direction) for name, _, direction, length, _, _ in BONES}
    start["root"] = np.zeros(3)
    ends, rows = dict(start), [moves["root"][:, :3] * scale]
    if not whole:
        start["thorax"] = np.zeros(3)
    lines = ["HIERARCHY"]

    def joint(name: str, depth: int) -> None:
        tab = "\t" * depth
        offset = start[PARENTS[name]] if name != "root" else np.zeros(3)
        position = "" if depth else "Xposition Yposition Zposition "
        lines.append(f"{tab}{'JOINT' if depth else 'ROOT'} {(names or {}).get(name, name)}")
        lines.extend([f"{tab}{{", f"{tab}\tOFFSET {_words(offset)}"])
        lines.append(f"{tab}\tCHANNELS {3 if depth else 6} {position}Zrotation Yrotation Xrotation ")
        turn = Rotation.from_euler("xyz", moves["root"][:, 3:], degrees=True) if name == "root" else local(name, moves)
        rows.append(turn.as_euler("ZYX", degrees=True))
        children = [child for child in PARENTS if PARENTS[child] == name]
        for child in children:
            joint(child, depth + 1)
        if not children:
            lines.extend([f"{tab}\tEnd Site", f"{tab}\t{{", f"{tab}\t\tOFFSET {_words(ends[name])}", f"{tab}\t}}"])
        lines.append(f"{tab}}}")

    joint("root", 0)
    values = np.concatenate(rows, axis=1)
    if t_pose:
        values = np.concatenate([np.concatenate([values[:1, :3], 0 * values[:1, 3:]], axis=1), values])
    lines += ["MOTION", f"Frames: {len(values)}", "Frame Time: .0083333", *map(_words, values)]
    path.write_text("\n".join([*lines, ""]))
    return path
