"""From the skeletons that CMU's database is written with to 17 Human3.6M joints, z up, in metres.

ASF names bones, of which the end counts; BVH names joints, each at the start of a bone. Conversions to BVH call them by
MotionBuilder's names (B. Hahne's, cgspeed.com, and those made from it) or by those of the ASF bones.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vidpose.body.skeletons import H36M_17, Conversion, Skeleton
from vidpose.common.errors import VidposeError
from vidpose.keypoint_files.animation import Animation

CMU = Skeleton(
    "cmu",
    ("left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle", "lower_back", "upper_back",
     "neck", "head", "head_end", "face", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow",
     "right_wrist"),
    (-1, 0, 1, -1, 3, 4, -1, 6, 7, 8, 9, 9, 8, 12, 13, 8, 15, 16),
)  # fmt: skip
"""The ends of CMU's bones that Human3.6M's joints are made of; and a "face", its head bone's length ahead of "head"."""

CMU_TO_H36M = Conversion(
    "cmu-h36m17",
    CMU,
    H36M_17,
    {
        "pelvis": {"left_hip": 0.5, "right_hip": 0.5},
        "spine": {"lower_back": 0.5, "upper_back": 0.5},
        "thorax": {"neck": 1.0},
        # 0.45 of the head's bone up and half its length ahead.
        "nose": {"head": 0.05, "head_end": 0.45, "face": 0.5},
        # CMU's head ends at the band of markers, below the crown.
        "head_top": {"head": -0.75, "head_end": 1.75},
    },
)
"""CMU's own root is no pelvis: it lies 0.1 m above the hips."""


def _sides(names: Mapping[str, str], left: str, right: str) -> dict[str, str]:
    """Names of both sides, from those of the left."""
    return dict(names) | {
        joint.replace("left_", "right_"): right + name.removeprefix(left)
        for joint, name in names.items()
        if joint.startswith("left_")
    }


_ASF_BONES = _sides(
    {"left_hip": "lhipjoint", "left_knee": "lfemur", "left_ankle": "ltibia", "lower_back": "lowerback",
     "upper_back": "upperback", "neck": "lowerneck", "head": "upperneck", "head_end": "head",
     "left_shoulder": "lclavicle", "left_elbow": "lhumerus", "left_wrist": "lradius"}, "l", "r",
)  # fmt: skip
_MOTIONBUILDER_JOINTS = _sides(
    {"left_hip": "LeftUpLeg", "left_knee": "LeftLeg", "left_ankle": "LeftFoot", "lower_back": "Spine",
     "upper_back": "Spine1", "neck": "Neck1", "head": "Head", "head_end": "Head end", "left_shoulder": "LeftArm",
     "left_elbow": "LeftForeArm", "left_wrist": "LeftHand"}, "Left", "Right",
)  # fmt: skip
_ASF_JOINTS = _sides(
    {"left_hip": "lfemur", "left_knee": "ltibia", "left_ankle": "lfoot", "lower_back": "upperback",
     "upper_back": "thorax", "neck": "upperneck", "head": "head", "head_end": "head end", "left_shoulder": "lhumerus",
     "left_elbow": "lradius", "left_wrist": "lwrist"}, "l", "r",
)  # fmt: skip
_ON_THE_THORAX = slice(CMU.index("neck"), None)
"""What hangs on the thorax: neck, head and arms."""

_LEG = 0.83
"""Metres from hip over knee to ankle: mean of the 29 subjects of the CMU-17 shards."""

_UNITS = (0.0254 / 0.45, 0.01, 0.0254, 1.0)
"""Metres: CMU's own length unit, centimetre, inch, metre."""


def h36m_of_asf(animation: Animation) -> np.ndarray:
    """(F, 17, 3) metres, z up, of a movement read from ASF and AMC.

    Raises:
        VidposeError: the skeleton is not CMU's; says what it lacks.
    """
    return _h36m(animation, _points(animation, _ASF_BONES, "head"))


def h36m_of_bvh(animation: Animation) -> np.ndarray:
    """(F, 17, 3) metres, z up, of a movement read from a BVH conversion.

    The T-pose that is put before the first frame is removed, and the thorax, where a conversion lost it, is put back.
    Among the usual units that is taken which makes the leg nearest to a person's.

    Raises:
        VidposeError: the skeleton is not CMU's; says what it lacks.
    """
    plain = "lfemur" in animation.names
    names = _ASF_JOINTS if plain else _MOTIONBUILDER_JOINTS
    points = _points(animation, names, names["head"])
    spine, thorax = (animation.index(names[joint]) for joint in ("lower_back", "upper_back"))
    if not animation.rest[animation.index("lowerneck" if plain else "Neck")].any():
        shift = _thorax(animation.rest[spine], animation.rest[thorax])
        points[:, _ON_THE_THORAX] += (animation.rotations[:, thorax] @ shift)[:, None]
    leg = sum(np.linalg.norm(animation.rest[animation.index(names[joint])]) for joint in ("left_knee", "left_ankle"))
    unit = min(_UNITS, key=lambda metres: abs(np.log(metres * leg / _LEG)))
    return unit * _h36m(animation, points)[_starts_in_t_pose(animation) :]


def _points(animation: Animation, names: Mapping[str, str], head: str) -> np.ndarray:
    """(F, joints of CMU, 3) in the frame and the unit of the file."""
    found = {joint: animation.positions[:, animation.index(name)] for joint, name in names.items()}
    bone = found["head_end"] - found["head"]
    length = np.linalg.norm(bone, axis=-1, keepdims=True)
    if not length.all():
        raise VidposeError(
            f"{animation.path}: the head has no length; take a conversion that keeps the end of the head"
        )
    up = bone / length
    ahead = animation.rotations[:, animation.index(head), :, 2]
    ahead = ahead - (ahead * up).sum(axis=-1, keepdims=True) * up
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    found["face"] = found["head"] + length * ahead
    return np.stack([found[joint] for joint in CMU.joints], axis=1)


def _h36m(animation: Animation, points: np.ndarray) -> np.ndarray:
    joints, _ = CMU_TO_H36M(points, np.ones(points.shape[:-1]))
    # CMU's y is up.
    return np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], axis=-1)


def _starts_in_t_pose(animation: Animation) -> bool:
    """Whether the first frame is a pose that was put there: upright to the last digit, where the recording begins."""
    upright = np.array_equal(animation.rotations[0, 0], np.eye(3))
    if not upright or len(animation.positions) < 2:
        return False
    first, second = animation.positions[:2, 0]
    return bool(np.allclose(first, second, atol=1e-3))


def _thorax(lower_back: np.ndarray, upper_back: np.ndarray) -> np.ndarray:
    """(3,) the thorax that amc2bvh leaves out of a skeleton at rest, by the two bones below it.

    Neck and shoulders, three children of one bone, are put at its start. In CMU's own skeletons it is 1.011 times as
    long as the upper back (mean of 28), and the spine's curve goes on by half.
    """
    length = np.linalg.norm(upper_back)
    below, above = lower_back / np.linalg.norm(lower_back), upper_back / length
    direction = above + 0.5 * (above - below)
    return 1.011 * length * direction / np.linalg.norm(direction)
