"""Biovision hierarchies (`.bvh`): a skeleton and its rotations, for Blender and other animation programs.

Meredith and Maddock, "Motion Capture File Formats Explained", University of Sheffield, 2001. Y is up, metres, degrees;
at rest the skeleton is a T pose that faces +z. Joints that end a limb are end sites. A joint has one at most: a foot
ends in its toe, a hand in its first knuckle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vidpose.body.bone_names import BONE_NAMES, bone_names
from vidpose.body.kinematics import relative
from vidpose.body.pieces import pieces
from vidpose.body.tracks import PoseResult, Track
from vidpose.common.files import replacing
from vidpose.export.placing import EvenClock
from vidpose.export.rigid_figure import EULER, Figure, euler_angles

_ROTATIONS = " ".join(f"{axis}rotation" for axis in EULER)


def write_bvh(result: PoseResult, track: Track, path: Path, bones: str = BONE_NAMES[0]) -> None:
    """Write one person's motion, from their first frame to their last. Short gaps are bridged by
    interpolation; through longer ones the last pose is held.

    Args:
        bones: how bones are called (`vidpose.body.bone_names`).

    Raises:
        UsageError: no such names, or no rest pose is known for the result's layout.
        VidposeError: the file cannot be written.
    """
    clock, figure = EvenClock.of(result.source), Figure.of(result, track)
    figure = figure.at(clock.times_of(clock.frames_of(track)))
    turning = [joint for joint in _in_order(figure, figure.layout.parents.index(-1)) if _children(figure, joint)]
    names = bone_names(bones, figure.layout)
    lines = ["HIERARCHY", *_hierarchy(figure, names, figure.layout.parents.index(-1), 0), "MOTION"]
    lines += [f"Frames: {len(figure.times)}", f"Frame Time: {1 / clock.rate:.9f}"]
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
        last: np.ndarray | None = None
        for rows in pieces(len(figure.times)):
            angles = euler_angles(relative(figure.turns[rows], figure.layout, turning), last)
            values, last = np.concatenate([figure.roots[rows], angles.reshape(len(angles), -1)], axis=1), angles[-1]
            file.writelines(" ".join(f"{value:.6f}" for value in row) + "\n" for row in values.tolist())


def _children(figure: Figure, joint: int) -> list[int]:
    return [child for child, parent in enumerate(figure.layout.parents) if parent == joint]


def _in_order(figure: Figure, joint: int) -> Iterator[int]:
    """The joints as the hierarchy lists them."""
    yield joint
    for child in _children(figure, joint):
        yield from _in_order(figure, child)


def _hierarchy(figure: Figure, names: Sequence[str], joint: int, depth: int) -> Iterator[str]:
    indent, children = "\t" * depth, _children(figure, joint)
    if depth == 0:
        kind, channels = "ROOT", f"CHANNELS 6 Xposition Yposition Zposition {_ROTATIONS}"
    else:
        kind, channels = "JOINT", f"CHANNELS 3 {_ROTATIONS}"
    yield indent + (f"{kind} {names[joint]}" if children else "End Site")
    yield indent + "{"
    yield indent + "\tOFFSET " + " ".join(f"{value:.6f}" for value in figure.offsets[joint])
    if children:
        yield f"{indent}\t{channels}"
    turning = [child for child in children if _children(figure, child)]
    for child in turning or children[:1]:
        yield from _hierarchy(figure, names, child, depth + 1)
    yield indent + "}"
