"""Biovision hierarchies (`.bvh`): a skeleton and its movement in one file.

The format is described in Meredith and Maddock, "Motion Capture File Formats Explained", University of Sheffield,
2001. A joint's channels are applied in the order they are listed, each about the axes that the ones before have turned.
Position channels stand in for the joint's offset, as programs mean them that write them for more joints than the root.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vidpose.common.errors import VidposeError
from vidpose.keypoint_files.animation import Animation, bad_line, check_size, numbered_words, numbers, rotations

_CHANNELS = {f"{axis.upper()}{kind}": f"{kind[0]}{axis}" for kind in ("position", "rotation") for axis in "xyz"}


@dataclass
class _Joint:
    name: str
    parent: int
    offset: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    channels: tuple[str, ...] = ()


def read_bvh(path: Path) -> tuple[Animation, float]:
    """Read a movement.

    Returns:
        The joints in the unit and the axes of the file, which it does not name, and frames a second. The end site of a
        joint is called "<joint> end".

    Raises:
        VidposeError: the file is not a BVH, or cut off; names the line.
    """
    lines = list(numbered_words(path))
    motion = next((i for i, (_, words) in enumerate(lines) if words[0].upper() == "MOTION"), None)
    if motion is None or lines[0][1][0].upper() != "HIERARCHY":
        raise VidposeError(f"{path}: no HIERARCHY and MOTION; not a BVH movement, or one that is cut off")
    joints = _hierarchy(path, lines[1:motion])
    check_size(path, max(len(lines) - motion - 3, 0), len(joints))
    values, fps = _motion(path, lines[motion + 1 :], sum(len(joint.channels) for joint in joints))
    return _animate(path, joints, values), fps


def _hierarchy(path: Path, lines: list[tuple[int, list[str]]]) -> list[_Joint]:
    joints: list[_Joint] = []
    opened: list[int] = []
    for number, words in lines:
        key = words[0].upper()
        if key in ("ROOT", "JOINT", "END"):
            parent = opened[-1] if opened else -1
            if (key == "ROOT") != (parent < 0) or len(words) < 2 or (key == "ROOT" and joints):
                raise bad_line(path, number, f"{' '.join(words)!r} out of place; a BVH has one ROOT, and joints in it")
            joints.append(_Joint(f"{joints[parent].name} end" if key == "END" else " ".join(words[1:]), parent))
        elif key == "{" and joints:
            opened.append(len(joints) - 1)
        elif key == "}" and opened:
            opened.pop()
        elif key == "OFFSET" and opened:
            joints[opened[-1]].offset = numbers(path, number, words[1:], 3)
        elif key == "CHANNELS" and opened:
            joints[opened[-1]].channels = _channels(path, number, words[1:])
        else:
            raise bad_line(path, number, f"{words[0]!r} out of place in the hierarchy")
    if opened or not joints:
        raise VidposeError(f"{path}: the hierarchy is cut off")
    return joints


def _channels(path: Path, number: int, words: list[str]) -> tuple[str, ...]:
    for word in words[1:]:
        if word.capitalize() not in _CHANNELS:
            raise bad_line(path, number, f"unknown channel {word!r}")
    if not words or words[0] != str(len(words) - 1):
        raise bad_line(path, number, f"CHANNELS {' '.join(words)}: their number and their names disagree")
    return tuple(_CHANNELS[word.capitalize()] for word in words[1:])


def _motion(path: Path, lines: list[tuple[int, list[str]]], channels: int) -> tuple[np.ndarray, float]:
    """(F, channels) values, and frames a second."""
    if len(lines) < 2 or lines[0][1][0] != "Frames:" or lines[1][1][:2] != ["Frame", "Time:"]:
        raise VidposeError(f"{path}: MOTION must begin with `Frames:` and `Frame Time:`")
    (frames,) = numbers(path, lines[0][0], lines[0][1][1:], 1)
    (seconds,) = numbers(path, lines[1][0], lines[1][1][2:], 1)
    if not 1e-6 <= seconds <= 1e6:
        raise bad_line(path, lines[1][0], f"a frame time of {seconds:g} s")
    values = np.empty((len(lines) - 2, channels))
    for row, (number, words) in zip(values, lines[2:], strict=True):
        row[:] = numbers(path, number, words, channels)
    if len(values) < frames:
        raise bad_line(path, lines[-1][0], f"{len(values)} frames, where {frames:g} are announced; the file is cut off")
    if len(values) > frames:
        raise bad_line(
            path, lines[0][0], f"{frames:g} frames are announced, and {len(values)} follow; correct the number"
        )
    if not len(values):
        raise bad_line(path, lines[0][0], "no frames, so nothing moves; export the movement with the skeleton")
    rate = 1 / seconds
    # Frame times are printed with few digits: .0083333 is 120 a second.
    return values, float(round(rate)) if abs(rate - round(rate)) < 1e-3 * rate else rate


def _animate(path: Path, joints: list[_Joint], values: np.ndarray) -> Animation:
    """Forward kinematics."""
    positions = np.empty((len(values), len(joints), 3))
    turned = np.empty((len(values), len(joints), 3, 3))
    column = 0
    for i, joint in enumerate(joints):
        own = values[:, column : column + len(joint.channels)]
        column += len(joint.channels)
        offset = np.tile(joint.offset, (len(values), 1))
        for channel, value in zip(joint.channels, own.T, strict=True):
            if channel[0] == "p":
                offset[:, "xyz".index(channel[1])] = value
        turns = [k for k, channel in enumerate(joint.channels) if channel[0] == "r"]
        local = rotations("".join(joint.channels[k][1] for k in turns), np.deg2rad(own[:, turns]))
        if joint.parent < 0:
            positions[:, i], turned[:, i] = offset, local
        else:
            above = turned[:, joint.parent]
            positions[:, i] = positions[:, joint.parent] + (above @ offset[..., None])[..., 0]
            turned[:, i] = above @ local
    rest = np.array([joint.offset for joint in joints])
    return Animation(path, tuple(joint.name for joint in joints), rest, positions, turned)
