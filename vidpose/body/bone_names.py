"""What other programs call bones: a bone is named after what it is, and begins at the joint that it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vidpose.body.skeletons import Skeleton
from vidpose.common.errors import UsageError, did_you_mean

_TRUNK = ("pelvis", "spine", "thorax", "nose", "head_top")
_LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist", "toe", "heel", "index", "pinky", "thumb")

_SCHEMES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], Mapping[str, str]]] = {
    # For trunk and limbs in the order above; `{}` is the side.
    "plain": (
        ("pelvis", "spine", "chest", "head", "head_end"),
        ("thigh_{}", "calf_{}", "foot_{}", "upperarm_{}", "lowerarm_{}", "hand_{}", "toe_{}", "heel_{}", "index_{}",
         "pinky_{}", "thumb_{}"),
        {"left": "l", "right": "r"},
    ),
    "mixamo": (
        ("mixamorig:Hips", "mixamorig:Spine", "mixamorig:Spine2", "mixamorig:Head", "mixamorig:HeadTop_End"),
        ("mixamorig:{}UpLeg", "mixamorig:{}Leg", "mixamorig:{}Foot", "mixamorig:{}Arm", "mixamorig:{}ForeArm",
         "mixamorig:{}Hand", "mixamorig:{}Toe_End", "mixamorig:{}Heel_End", "mixamorig:{}HandIndex1",
         "mixamorig:{}HandPinky1", "mixamorig:{}HandThumb2"),
        {"left": "Left", "right": "Right"},
    ),
    "rigify": (
        ("spine", "spine.001", "spine.003", "spine.006", "spine.006_end"),
        ("thigh.{}", "shin.{}", "foot.{}", "upper_arm.{}", "forearm.{}", "hand.{}", "toe.{}", "heel.02.{}",
         "f_index.01.{}", "f_pinky.01.{}", "thumb.02.{}"),
        {"left": "L", "right": "R"},
    ),
    "vrm": (
        ("hips", "spine", "upperChest", "head", "head_end"),
        ("{}UpperLeg", "{}LowerLeg", "{}Foot", "{}UpperArm", "{}LowerArm", "{}Hand", "{}Toes", "{}Heel",
         "{}IndexProximal", "{}LittleProximal", "{}ThumbProximal"),
        {"left": "left", "right": "right"},
    ),
}  # fmt: skip

BONE_NAMES = tuple(_SCHEMES)
"""Of the schemes there are; the first is the default."""


def bone_names(scheme: str, layout: Skeleton) -> list[str]:
    """What the bones that leave each joint of a layout are called; a joint that no scheme knows keeps its name.

    Raises:
        UsageError: there is no such scheme; says which is near.
    """
    if scheme not in _SCHEMES:
        advice = f"{did_you_mean(scheme, BONE_NAMES)}known are {', '.join(BONE_NAMES)}"
        raise UsageError(f"`bones={scheme}`: no such names; {advice}")
    trunk, limbs, sides = _SCHEMES[scheme]
    names = dict(zip(_TRUNK, trunk, strict=True))
    for side, spelt in sides.items():
        names |= {f"{side}_{joint}": name.format(spelt) for joint, name in zip(_LIMBS, limbs, strict=True)}
    return [names.get(joint, joint) for joint in layout.joints]


def joints_of_bones(names: Sequence[str], layout: Skeleton) -> list[str]:
    """Bones' names as those of the joints that they leave, where they are a whole scheme's; else as they were.

    What a file calls the end of a bone, "shin.L end", is the joint at which no bone begins.
    """
    turning = [joint for joint in range(len(layout)) if joint in layout.parents]
    ends = {layout.parents[end]: joint for end, joint in enumerate(layout.joints) if end not in turning}
    for own in (list(layout.joints), *(bone_names(scheme, layout) for scheme in BONE_NAMES)):
        if {own[joint] for joint in turning} <= {*names}:
            known = dict(zip(own, layout.joints, strict=True))
            known |= {f"{own[above]} end": joint for above, joint in ends.items()}
            return [known.get(name, name) for name in names]
    return list(names)
