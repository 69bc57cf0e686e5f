"""Acclaim motion capture: a skeleton (`.asf`) and its movements (`.amc`), as CMU's database has them.

The format is described in Lander, "Working with Motion Capture File Formats", Game Developer, January 1998. A bone has
a direction and a length in the rest pose of the whole body, and axes C in which its angles are given: with the rotation
M that they make it turns by C M C^-1 against its parent. Angles are applied in the order they are listed, about axes
that stay where they are. `limits` are not applied: recordings are as they were fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidpose.common.errors import VidposeError
from vidpose.keypoint_files.animation import Animation, bad_line, check_size, numbered_words, numbers, rotations

_METRES_AN_INCH = 0.0254
_ROOT = "root"

_Lines = list[tuple[int, list[str]]]


@dataclass(frozen=True)
class AsfBone:
    """A bone of an `.asf`.

    Attributes:
        parent: its name; "" for the root.
        rest: (3,) from start to end in the rest pose, metres; of the root, where it stands.
        axes: (3, 3) the rotation C of the frame its angles are given in.
        channels: what an `.amc` gives for it, in order: "rx", "ry", "rz" and, of the root, "tx", "ty", "tz".
    """

    parent: str
    rest: np.ndarray
    axes: np.ndarray
    channels: tuple[str, ...]

    @property
    def turns(self) -> list[int]:
        """Which of the channels are rotations."""
        return [i for i, channel in enumerate(self.channels) if channel[0] == "r"]


@dataclass(frozen=True)
class Asf:
    """A skeleton.

    Attributes:
        path: the file it was read from.
        bones: by name, parents before children.
        metres: a length unit of the file and its movements.
        radians: an angle unit.
    """

    path: Path
    bones: dict[str, AsfBone]
    metres: float
    radians: float


def read_asf(path: Path) -> Asf:
    """Read a skeleton.

    Raises:
        VidposeError: the file is not an ASF; names the line.
    """
    sections = _sections(path)
    units = {words[0].lower(): (number, words[1:]) for number, words in sections["units"]}
    # The section names what a unit is divided by to give inches: CMU's 0.45 makes a unit 5.64 cm.
    scale = numbers(path, *units["length"], 1)[0] if "length" in units else 1.0
    if not 1e-6 <= scale <= 1e6:
        raise bad_line(path, units["length"][0], f"a length unit of {scale:g}")
    metres = _METRES_AN_INCH / scale
    radians = 1.0 if units.get("angle", (0, ["deg"]))[1][:1] == ["rad"] else np.pi / 180
    bones = _bones(path, sections["bonedata"], metres, radians)
    bones[_ROOT] = _root(path, sections["root"], metres, radians)
    return Asf(path, _hierarchy(path, sections["hierarchy"], bones), metres, radians)


def _sections(path: Path) -> dict[str, _Lines]:
    """Lines by the `:section` they are in."""
    sections: dict[str, _Lines] = {}
    name = ""
    for number, words in numbered_words(path):
        if words[0].startswith(":"):
            name = words[0][1:].lower()
            sections[name] = []
        elif name:
            sections[name].append((number, words))
    for name in ("units", "root", "bonedata", "hierarchy"):
        if name not in sections:
            raise VidposeError(f"{path}: no section :{name}; not an ASF skeleton, or one that is cut off")
    return sections


def _frame(path: Path, number: int, order: str, angles: list[float], radians: float) -> np.ndarray:
    """The rotation of angles that are applied in an order like "XYZ"."""
    if sorted(order.lower()) != ["x", "y", "z"]:
        raise bad_line(path, number, f"an order of axes like XYZ was expected, not {order!r}")
    return rotations(order.lower()[::-1], radians * np.array(angles)[::-1])


def _root(path: Path, lines: _Lines, metres: float, radians: float) -> AsfBone:
    entries = {words[0].lower(): (number, words[1:]) for number, words in lines}
    for key in ("order", "axis", "position", "orientation"):
        if key not in entries or not entries[key][1]:
            raise VidposeError(f"{path}: section :root has no {key}")
    number, order = entries["order"]
    channels = tuple(word.lower() for word in order)
    if not set(channels) <= {"tx", "ty", "tz", "rx", "ry", "rz"}:
        raise bad_line(path, number, f"an order of TX TY TZ RX RY RZ was expected, not {' '.join(order)}")
    position = numbers(path, *entries["position"], 3)
    number, angles = entries["orientation"]
    axes = _frame(path, number, entries["axis"][1][0], numbers(path, number, angles, 3), radians)
    return AsfBone("", metres * np.array(position), axes, channels)


def _bones(path: Path, lines: _Lines, metres: float, radians: float) -> dict[str, AsfBone]:
    bones: dict[str, AsfBone] = {}
    entries: dict[str, tuple[int, list[str]]] = {}
    for number, words in lines:
        key = words[0].lower()
        if key == "begin":
            entries = {}
        elif key != "end":
            entries[key] = number, words[1:]
        else:
            for needed in ("name", "direction", "length", "axis"):
                if needed not in entries or not entries[needed][1]:
                    raise bad_line(path, number, f"a bone without {needed}")
            name = entries["name"][1][0]
            direction, length = numbers(path, *entries["direction"], 3), numbers(path, *entries["length"], 1)[0]
            axis_number, axis = entries["axis"]
            axes = _frame(path, axis_number, axis[-1], numbers(path, axis_number, axis[:-1], 3), radians)
            dof_number, dof = entries.get("dof", (number, []))
            channels = tuple(word.lower() for word in dof)
            if not set(channels) <= {"rx", "ry", "rz"}:
                raise bad_line(path, dof_number, f"degrees of freedom {' '.join(dof)}; only rx, ry and rz can be read")
            bones[name] = AsfBone("", metres * length * np.array(direction), axes, channels)
    return bones


def _hierarchy(path: Path, lines: _Lines, bones: dict[str, AsfBone]) -> dict[str, AsfBone]:
    """The bones with their parents, parents first."""
    ordered = {_ROOT: bones[_ROOT]}
    for number, (parent, *children) in lines:
        if not children:
            continue  # begin and end
        if parent not in ordered:
            raise bad_line(path, number, f"bone {parent!r} has no parent yet")
        for child in children:
            if child not in bones:
                raise bad_line(path, number, f"unknown bone {child!r}; section :bonedata does not have it")
            if child in ordered:
                raise bad_line(path, number, f"bone {child!r} for the second time")
            bone = bones[child]
            ordered[child] = AsfBone(parent, bone.rest, bone.axes, bone.channels)
    return ordered


def read_amc(path: Path, skeleton: Asf) -> Animation:
    """Read a movement of a skeleton.

    Returns:
        Its bones' ends in metres, y up as in the file; of the root, where it is.

    Raises:
        VidposeError: the file is not an AMC, or not of this skeleton, or cut off; names the line.
    """
    radians = skeleton.radians
    frames: list[dict[str, list[float]]] = []
    number = 0
    for number, words in numbered_words(path):
        if words[0].startswith(":"):
            radians = {":DEGREES": np.pi / 180, ":RADIANS": 1.0}.get(words[0].upper(), radians)
        elif len(words) == 1 and words[0].isdigit():
            _check_whole(path, number, frames, skeleton)
            frames.append({})
        elif not frames:
            raise bad_line(path, number, f"the number of a frame was expected, not {words[0]!r}")
        elif words[0] not in skeleton.bones:
            raise bad_line(path, number, f"unknown bone {words[0]!r}; {skeleton.path.name} does not have it")
        elif words[0] in frames[-1]:
            raise bad_line(path, number, f"bone {words[0]!r} twice in frame {len(frames)}; the file is damaged")
        else:
            frames[-1][words[0]] = numbers(path, number, words[1:], len(skeleton.bones[words[0]].channels))
    if not frames:
        raise VidposeError(f"{path}: no frames; not an AMC movement")
    _check_whole(path, number, frames, skeleton)
    check_size(path, len(frames), len(skeleton.bones))
    values = {name: np.array([frame.get(name, []) for frame in frames]) for name in skeleton.bones}
    return _animate(path, skeleton, values, radians)


def _check_whole(path: Path, number: int, frames: list[dict[str, list[float]]], skeleton: Asf) -> None:
    """See that the last frame, which ends here, has all bones that move."""
    if not frames:
        return
    absent = [name for name, bone in skeleton.bones.items() if bone.channels and name not in frames[-1]]
    if absent:
        raise bad_line(
            path, number, f"frame {len(frames)} ends without {', '.join(absent)}; the file is cut off or damaged"
        )


def _animate(path: Path, skeleton: Asf, values: dict[str, np.ndarray], radians: float) -> Animation:
    """Forward kinematics; `values` are (F, channels) by bone."""
    turned: dict[str, np.ndarray] = {}
    ends: dict[str, np.ndarray] = {}
    for name, bone in skeleton.bones.items():
        order = "".join(bone.channels[i][1] for i in bone.turns)[::-1]
        local = rotations(order, radians * values[name][:, bone.turns][:, ::-1])
        local = bone.axes @ local @ bone.axes.T
        if bone.parent:
            turned[name] = turned[bone.parent] @ local
            ends[name] = ends[bone.parent] + turned[name] @ bone.rest
        else:
            moved = np.zeros((len(local), 3))
            for i, channel in enumerate(bone.channels):
                if channel[0] == "t":
                    moved[:, "xyz".index(channel[1])] = skeleton.metres * values[name][:, i]
            turned[name], ends[name] = local, bone.rest + moved
    return Animation(
        path,
        tuple(skeleton.bones),
        np.stack([bone.rest for bone in skeleton.bones.values()]),
        np.stack(list(ends.values()), axis=1),
        np.stack(list(turned.values()), axis=1),
    )
