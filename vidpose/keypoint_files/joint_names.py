"""Joints by whatever others call them: `LKnee`, `knee_left`, `left knee` and `L_Knee` are one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vidpose.body.skeletons import BODY_25, COCO_17, H36M_17, HALPE_26, MPII_16, SKELETONS, Skeleton

_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}

_SAME = {
    "hipcenter": "pelvis", "midhip": "pelvis", "root": "pelvis", "hips": "pelvis", "centerhip": "pelvis",
    "head": "head_top", "headtop": "head_top", "topofhead": "head_top", "crown": "head_top", "vertex": "head_top",
    "forehead": "head_top", "neckbase": "neck", "chest": "thorax", "foot": "ankle", "bigtoe": "big_toe",
    "smalltoe": "small_toe", "toe": "big_toe", "footindex": "foot_index", "hand": "wrist", "torso": "spine",
    "hjc": "hip", "kjc": "knee", "ajc": "ankle", "sjc": "shoulder", "ejc": "elbow", "wjc": "wrist",
    "midshoulder": "thorax", "upperneck": "upper_neck", "eyeinner": "eye_inner", "eyeouter": "eye_outer",
}  # fmt: skip
"""Other words for parts, without their side."""

_NEEDED = tuple(f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "hip"))


def joint_of(name: str) -> str:
    """What we call a joint: `left_knee` for `LKnee`, `knee_l` or `Left Knee`; a name in our words without a side."""
    name = name.rpartition(":")[2]  # whose joint it is, as Vicon and others write before it
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name.replace("_", " "))
    lowered = [word.lower() for word in words]
    if len(lowered) == 1 and len(name) > 2 and name[0] in "LR" and name[1].isupper():
        lowered = [name[0].lower(), name[1:].lower()]
    side = next((_SIDES[word] for word in lowered if word in _SIDES), None)
    part = "".join(word for word in lowered if word not in _SIDES)
    if part == "hip" and side is None:
        part = "pelvis"
    part = _SAME.get(part, part)
    if side and part == "pelvis":
        part = "hip"
    if side and part == "head_top":
        part = "head"
    return f"{side}_{part}" if side else part


def named_layout(names: Sequence[str]) -> tuple[Skeleton, list[int]]:
    """The layout that holds most of the joints of these names, and where each of its joints is, -1 where nowhere.

    Raises:
        ValueError: they are no joints of a body.
    """
    found = {joint_of(name): place for place, name in reversed(list(enumerate(names)))}
    found.setdefault("head_top", found.get("head", -1))
    found = {name: place for name, place in found.items() if place >= 0}
    missing = [joint for joint in _NEEDED if joint not in found]
    if missing:
        listed = ", ".join(map(str, names[:12])) + (", ..." if len(names) > 12 else "")
        raise ValueError(f"no {missing[0]} among {listed}; name the joints as COCO does, left_shoulder and so on")
    candidates = (COCO_17, HALPE_26, BODY_25, H36M_17, MPII_16, *SKELETONS.values())
    layout = max(candidates, key=lambda one: _fit(one, found))
    return layout, [found.get(joint, -1) for joint in layout.joints]


def _fit(layout: Skeleton, found: dict[str, int]) -> int:
    """How many of the joints a layout holds, less those that it has besides."""
    held = sum(joint in found for joint in layout.joints)
    return 2 * held - len(layout)
