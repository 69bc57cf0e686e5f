"""Which of a recording's points are which of 17 Human3.6M joints, whatever they are called.

Programs call the same joint LeftUpLeg (MotionBuilder, Mixamo, Vicon, Rokoko), lThigh (OptiTrack, Poser), Left Hip
(Xsens), left_hip (SMPL), HipLeft (Kinect), lfemur (CMU) or thigh.L (Blender's Rigify). Names are compared without case,
separators, and what stands before a colon or a common prefix. A joint is where the bone of that name begins. What no
scheme knows, a map names:

    up = "y"                                # or "z"; found by the body if left out
    unit = "mm"                             # m, cm, mm, inch; found by the body if left out

    [joints]
    left_hip = "Thigh_links"
    left_knee = ["LKNE", "LKNM"]            # the mean of several points
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vidpose.body.skeletons import H36M_17
from vidpose.common.errors import UsageError
from vidpose.common.inputs import read_toml, reading, short

_LIMBS: Mapping[str, Sequence[str]] = {
    # Of each joint, schemes in order; those of one row belong together where a name means two things.
    "hip": ("SIDEupleg", "SIDEupperleg", "SIDEthigh", "thighSIDE", "upperlegSIDE", "SIDEfemur", "SIDEhip", "hipSIDE",
            "SIDEhjc"),
    "knee": ("SIDEleg", "SIDElowerleg", "SIDEshin", "SIDEcalf", "shinSIDE", "calfSIDE", "lowerlegSIDE", "SIDEtibia",
             "SIDEknee", "kneeSIDE", "SIDEkjc"),
    # SMPL and Kinect have hands and feet besides, which lie further out.
    "ankle": ("SIDEankle", "ankleSIDE", "SIDEajc", "SIDEfoot", "footSIDE", "calfSIDEend"),
    "shoulder": ("SIDEarm", "SIDEuparm", "SIDEuarm", "SIDEupperarm", "SIDEshldr", "upperarmSIDE", "SIDEhumerus",
                 "SIDEshoulder", "shoulderSIDE", "SIDEsjc"),
    "elbow": ("SIDEforearm", "SIDEfarm", "SIDElowerarm", "forearmSIDE", "lowerarmSIDE", "SIDEradius", "SIDEelbow",
              "elbowSIDE", "SIDEejc"),
    "wrist": ("SIDEwrist", "wristSIDE", "SIDEwjc", "SIDEhand", "handSIDE", "lowerarmSIDEend"),
}  # fmt: skip
_SIDES = {"left": ("left", "l"), "right": ("right", "r")}
_TRUNK: Mapping[str, Sequence[str]] = {
    "pelvis": ("pelvis", "midhip", "hip", "hips", "root"),
    "thorax": ("thorax", "midshoulder", "lowerneck", "neck", "neck1", "neckbase", "spine004"),
    "head": ("head", "upperneck", "skull", "spine006"),
    "head_top": ("headtopend", "headtop", "headend", "headendsite", "crown", "headnub"),
    "nose": ("nose",),
}
_SPINE = re.compile(r"(spine|lowerback|upperback|abdomen|chest|torso|lumbar)[a-z0-9]*")
_PREFIX = re.compile(
    r"^(?:.*[:|]|skeleton[ _]?\d*_|mixamorig\d*_?|bip\d*[ _]?|def-|org-|mch-|character\d*_|actor\d*_|b_|jnt_)", re.I
)

NEEDED = tuple(f"{side}_{joint}" for side in _SIDES for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"))
"""Joints that a recording must have; the others follow from them where they are missing."""

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254}


@dataclass(frozen=True)
class SkeletonMap:
    """Which points are which joints.

    Attributes:
        joints: names of points by joint, the mean of which it is; joints of `H36M_17`, and "head", where that turns.
        spine: points between pelvis and neck.
        up: "y", "z", or "" where the body has to tell.
        metres: of the file's unit; None where the body has to tell.
    """

    joints: Mapping[str, tuple[str, ...]]
    spine: tuple[str, ...] = ()
    up: str = ""
    metres: float | None = None
    missing: tuple[str, ...] = field(default=())

    def over(self, known: SkeletonMap | None) -> SkeletonMap:
        """What this says, and what only `known` does."""
        if known is None:
            return self
        return replace(self, joints={**known.joints, **self.joints}, up=self.up or known.up,
                       metres=self.metres or known.metres)  # fmt: skip


def plain(name: str) -> str:
    """A name without prefix, case and separators."""
    while (shorter := _PREFIX.sub("", name)) and shorter != name:
        name = shorter
    return re.sub(r"[^a-z0-9]", "", name.lower())


def find_joints(names: Sequence[str], given: SkeletonMap | None = None) -> SkeletonMap:
    """The joints among a recording's points, by what programs call them; what `given` names comes first.

    Raises:
        UsageError: `given` names a point that is not there.
    """
    by_plain: dict[str, str] = {}
    for name in names:
        by_plain.setdefault(plain(name), name)
    joints: dict[str, tuple[str, ...]] = {}
    for side, spellings in _SIDES.items():
        for joint, known in _LIMBS.items():
            for pattern in known:
                found = next((by_plain[p] for s in spellings if (p := pattern.replace("SIDE", s)) in by_plain), None)
                if found:
                    joints[f"{side}_{joint}"] = (found,)
                    break
    for joint, spelt in _TRUNK.items():
        found = next((by_plain[name] for name in spelt if name in by_plain), None)
        if found:
            joints[joint] = (found,)
    # With legs there is no doubt where the pelvis is: programs put their root anywhere.
    if "left_hip" in joints and "right_hip" in joints:
        joints.pop("pelvis", None)
    spine = tuple(original for name, original in by_plain.items() if _SPINE.fullmatch(name))
    up, metres = "", None
    if given:
        absent = sorted({name for points in given.joints.values() for name in points} - set(names))
        if absent:
            raise UsageError(f"the map names {', '.join(absent)}, which the recording does not have")
        joints |= given.joints
        up, metres = given.up, given.metres
    missing = tuple(joint for joint in NEEDED if joint not in joints)
    return SkeletonMap(joints, spine, up, metres, missing)


def read_map(path: Path) -> SkeletonMap:
    """A map as a TOML file says it.

    Raises:
        UsageError: it is none, or names joints that are not there.
    """
    with reading(path, "a map of a skeleton", kind=UsageError):
        content = read_toml(path)
    unknown = sorted(content.keys() - {"joints", "up", "unit"})
    if unknown:
        raise UsageError(f"{path}: no key {short(unknown[0])}; there are joints, up and unit")
    joints = content.get("joints", {})
    if not isinstance(joints, dict):
        raise UsageError(f'{path}: joints is {short(joints)}; write [joints] above lines like left_hip = "NAME"')
    known = {*H36M_17.joints, "head"}
    found = {}
    for joint, points in joints.items():
        points = [points] if isinstance(points, str) else points
        if joint not in known:
            raise UsageError(f"{path}: no joint {short(joint)}; there are {', '.join(H36M_17.joints)} and head")
        if not (isinstance(points, list) and points and all(isinstance(point, str) for point in points)):
            raise UsageError(f"{path}: {joint} is {short(points)}, where a name, or a list of them, is due")
        found[joint] = tuple(points)
    up, unit = content.get("up", ""), content.get("unit", "")
    if up not in ("", "y", "z"):
        raise UsageError(f"{path}: up is {short(up)}; choose y or z")
    if not isinstance(unit, str) or (unit and unit not in UNITS):
        raise UsageError(f"{path}: unit is {short(unit)}; choose from {', '.join(UNITS)}")
    return SkeletonMap(found, (), up, UNITS.get(unit))
