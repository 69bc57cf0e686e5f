"""Joint layouts, and the named conversions between them.

Left and right are the person's own. A conversion is a matrix: every joint of the target is a weighted sum of joints
of the source, with weights that add up to one. A weighted sum survives any affine camera, so a conversion that is
right in 3D is right in the picture too, up to perspective over the size of a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vidpose.common.errors import UsageError


@dataclass(frozen=True)
class Skeleton:
    """A joint layout.

    Attributes:
        name: how files and the command line call it.
        joints: joint names in order; a side is a prefix, `left_` or `right_`.
        parents: the index of each joint's parent, -1 for a root. Layouts whose joints form no tree (a face, a hand)
            have several roots.
        extra_bones: further pairs of joints to draw, where the picture of a body is no tree.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    extra_bones: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """The index of a joint name; ValueError when there is none."""
        return self.joints.index(joint)

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) pairs, then the extra bones."""
        tree = tuple((parent, child) for child, parent in enumerate(self.parents) if parent >= 0)
        return tree + self.extra_bones

    @cached_property
    def left(self) -> tuple[int, ...]:
        """Joints of the left side."""
        return tuple(i for i, joint in enumerate(self.joints) if joint.startswith("left_"))

    @cached_property
    def right(self) -> tuple[int, ...]:
        """Joints of the right side, in the order of their partners in `left`."""
        return tuple(self.index("right_" + self.joints[i].removeprefix("left_")) for i in self.left)

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """The permutation that swaps left and right: `mirrored = joints[..., mirror, :]`."""
        order = list(range(len(self)))
        for left, right in zip(self.left, self.right, strict=True):
            order[left], order[right] = right, left
        return tuple(order)


H36M_17 = Skeleton(
    "h36m17",
    ("pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "spine", "thorax",
     "nose", "head_top", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"),
    (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
)  # fmt: skip
"""Human3.6M's 17 of 32 joints, in the order every lifting paper uses."""

METRES_OF_BONES = 3.98
"""The sixteen bones of an adult laid end to end: mean of the 16 subjects of the CMU motion capture shards."""

EXTREMITIES_10 = Skeleton(
    "extremities10",
    ("left_toe", "left_heel", "left_index", "left_pinky", "left_thumb", "right_toe", "right_heel", "right_index",
     "right_pinky", "right_thumb"),
    (-1,) * 10,
)  # fmt: skip
"""Feet and hands of a fitted body, beyond its ankles and wrists: toe and heel, knuckles and thumb."""

H36M_27 = Skeleton(
    "h36m27",
    (*H36M_17.joints, *EXTREMITIES_10.joints),
    (*H36M_17.parents, 6, 6, 13, 13, 13, 3, 3, 16, 16, 16),
    # Heads are triangles, seen from the side: a neck that ran to the nose and back to the crown would look broken.
    ((17, 18), (19, 20), (22, 23), (24, 25), (8, 10)),
)
"""A fitted body with its feet and hands: `H36M_17`, then `EXTREMITIES_10`. The joints of no result are in it, so it is
not one of `SKELETONS`."""

H36M_16 = Skeleton(
    "h36m16",
    tuple(joint for joint in H36M_17.joints if joint != "nose"),
    (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 8, 10, 11, 8, 13, 14),
)
"""Human3.6M's joints that stacked hourglasses find: all but the neck/nose (Martinez et al. 2017, VideoPose3D)."""

COCO_17 = Skeleton(
    "coco17",
    ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
     "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
     "right_ankle"),
    (-1, 0, 0, 1, 2, -1, 5, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
    ((11, 12),),
)  # fmt: skip

MPII_16 = Skeleton(
    "mpii16",
    ("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax", "upper_neck",
     "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    (1, 2, 6, 6, 3, 4, -1, 6, 7, 8, 11, 12, 7, 7, 13, 14),
)  # fmt: skip
"""MPII Human Pose's joints. Its thorax is near H36M's; its upper neck is where the neck meets the head."""

BLAZEPOSE_33 = Skeleton(
    "blazepose33",
    ("nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
     "left_ear", "right_ear", "left_mouth", "right_mouth", "left_shoulder", "right_shoulder", "left_elbow",
     "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb",
     "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel",
     "right_heel", "left_foot_index", "right_foot_index"),
    (-1, 0, 1, 2, 0, 4, 5, 3, 6, -1, 9, -1, 11, 11, 12, 13, 14, 15, 16, 15, 16, 15, 16, 11, 12, 23, 24, 25, 26, 27, 28,
     29, 30),
    ((23, 24), (17, 19), (18, 20), (27, 31), (28, 32)),
)  # fmt: skip

BODY_25 = Skeleton(
    "body25",
    ("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
     "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
     "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
     "right_heel"),
    (1, 8, 1, 2, 3, 1, 5, 6, -1, 8, 9, 10, 8, 12, 13, 0, 0, 15, 16, 14, 19, 14, 11, 22, 11),
)  # fmt: skip
"""OpenPose's own 25."""

OPENPOSE_18 = Skeleton("openpose18", BODY_25.joints[:8] + BODY_25.joints[9:19],
                       (1, -1, 1, 2, 3, 1, 5, 6, 1, 8, 9, 1, 11, 12, 0, 0, 14, 15))  # fmt: skip
"""What OpenPose makes of COCO's 17, with a neck."""

OPENPOSE_MPI_15 = Skeleton("openpose-mpi15", ("head_top", *OPENPOSE_18.joints[1:14], "spine"),
                           (1, 14, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, -1))  # fmt: skip
"""What OpenPose makes of MPII's, with a chest."""

HALPE_26 = Skeleton(
    "halpe26",
    (*COCO_17.joints, "head_top", "neck", "pelvis", "left_big_toe", "right_big_toe", "left_small_toe",
     "right_small_toe", "left_heel", "right_heel"),
    (18, 0, 0, 1, 2, 18, 18, 5, 6, 7, 8, 19, 19, 11, 12, 13, 14, 0, 19, -1, 15, 16, 20, 21, 15, 16),
)  # fmt: skip
"""The bodies of Halpe's full-body annotations (AlphaPose); its 136 begin with them."""

COCO_FEET_23 = Skeleton(
    "coco-feet23",
    (*COCO_17.joints, "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
     "right_heel"),
    (*COCO_17.parents, 15, 17, 15, 16, 20, 16),
    COCO_17.extra_bones,
)  # fmt: skip
"""Bodies and feet of COCO-WholeBody; its 133 begin with them."""

MPI_INF_3DHP_17 = Skeleton(
    "mpi-inf-3dhp17",
    ("head_top", "thorax", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
     "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis", "spine", "nose"),
    (16, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, -1, 14, 1),
)  # fmt: skip
"""MPI-INF-3DHP's 17 joints in the order of its test set. Its neck and head are near H36M's thorax and nose."""

MPI_INF_3DHP_28 = Skeleton(
    "mpi-inf-3dhp28",
    ("spine3", "spine4", "spine2", "spine", "pelvis", "neck", "head", "head_top", "left_clavicle", "left_shoulder",
     "left_elbow", "left_wrist", "left_hand", "right_clavicle", "right_shoulder", "right_elbow", "right_wrist",
     "right_hand", "left_hip", "left_knee", "left_ankle", "left_foot", "left_toe", "right_hip", "right_knee",
     "right_ankle", "right_foot", "right_toe"),
    (2, 0, 3, 4, -1, 1, 5, 6, 5, 8, 9, 10, 11, 5, 13, 14, 15, 16, 4, 18, 19, 20, 21, 4, 23, 24, 25, 26),
)  # fmt: skip
"""All joints of MPI-INF-3DHP's training annotations."""

HUMANEVA_15 = Skeleton(
    "humaneva15",
    ("pelvis", "thorax", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
     "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle", "head"),
    (-1, 0, 1, 2, 3, 1, 5, 6, 0, 8, 9, 0, 11, 12, 1),
)  # fmt: skip
"""HumanEva-I's joints in VideoPose3D's order."""

SKELETONS: Mapping[str, Skeleton] = {
    s.name: s
    for s in (
        H36M_17,
        H36M_16,
        COCO_17,
        MPII_16,
        BLAZEPOSE_33,
        MPI_INF_3DHP_17,
        MPI_INF_3DHP_28,
        HUMANEVA_15,
        BODY_25,
        OPENPOSE_18,
        OPENPOSE_MPI_15,
        HALPE_26,
        COCO_FEET_23,
    )
}


def get_skeleton(name: str) -> Skeleton:
    """The layout of that name.

    Raises:
        UsageError: there is no such layout.
    """
    if name not in SKELETONS:
        raise UsageError(f"unknown joint layout {name!r}; known are {', '.join(SKELETONS)}")
    return SKELETONS[name]


@dataclass(frozen=True)
class Conversion:
    """A named way from one joint layout to another; files store the name beside the joints it gave."""

    name: str
    source: Skeleton
    target: Skeleton
    recipe: Mapping[str, Mapping[str, float]]
    """Target joint -> {source joint: weight}; a joint that is not named is copied from its namesake."""

    @cached_property
    def matrix(self) -> np.ndarray:
        """(target joints, source joints) float64 weights; every row adds up to one."""
        weights_TS = np.zeros((len(self.target), len(self.source)))
        for row, joint in enumerate(self.target.joints):
            for parent, weight in self.recipe.get(joint, {joint: 1.0}).items():
                weights_TS[row, self.source.index(parent)] = weight
        return weights_TS

    def __call__(self, positions: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Convert joints.

        Args:
            positions: (..., source joints, D) coordinates, NaN where absent.
            scores: (..., source joints) confidences.

        Returns:
            (..., target joints, D) positions and (..., target joints) scores. A derived joint takes the lowest score
            of the joints it is made of, and is NaN with score 0 when one of them is absent.
        """
        converted = np.empty((*positions.shape[:-2], len(self.target), positions.shape[-1]), positions.dtype)
        lowest = np.empty(converted.shape[:-1], scores.dtype)
        for row, weights_S in enumerate(self.matrix):
            parents = np.flatnonzero(weights_S)
            converted[..., row, :] = np.einsum("s,...sd->...d", weights_S[parents], positions[..., parents, :])
            lowest[..., row] = scores[..., parents].min(axis=-1)
        lowest[np.isnan(converted).any(axis=-1)] = 0
        return converted, lowest


_PELVIS = {"left_hip": 0.5, "right_hip": 0.5}
_THORAX = {"left_shoulder": 0.5, "right_shoulder": 0.5}
_SPINE = {"left_hip": 0.25, "right_hip": 0.25, "left_shoulder": 0.25, "right_shoulder": 0.25}

# From the ears to the crown is about twice the way from the mouth to the eyes (130 mm against 65 mm in an adult), in
# the same direction, however the head is turned.
_CROWN = 2.0

COCO_TO_H36M = Conversion(
    "coco17-h36m17-mid",
    COCO_17,
    H36M_17,
    {"pelvis": _PELVIS, "spine": _SPINE, "thorax": _THORAX, "head_top": {"left_eye": 0.5, "right_eye": 0.5}},
)
"""Midpoints, and the eyes for the head: what mmpose and MotionBERT do with COCO joints."""

MPII_TO_H36M = Conversion(
    "mpii16-h36m17-mid",
    MPII_16,
    H36M_17,
    {"spine": {"pelvis": 0.5, "thorax": 0.5}, "nose": {"upper_neck": 0.5, "head_top": 0.5}},
)
"""Midpoints; for the nose, which MPII has not, the middle of the head."""

BLAZEPOSE_TO_H36M = Conversion(
    "blazepose33-h36m17-crown",
    BLAZEPOSE_33,
    H36M_17,
    {
        "pelvis": _PELVIS,
        "spine": _SPINE,
        "thorax": _THORAX,
        "head_top": {
            "left_ear": 0.5, "right_ear": 0.5, "left_eye": _CROWN / 2, "right_eye": _CROWN / 2,
            "left_mouth": -_CROWN / 2, "right_mouth": -_CROWN / 2,
        },
    },
)  # fmt: skip
"""Midpoints, and a crown extrapolated from ears, eyes and mouth."""

MPII_TO_H36M_16 = Conversion(
    "mpii16-h36m16-hourglass", MPII_16, H36M_16, {"spine": {"thorax": 1.0}, "thorax": {"upper_neck": 1.0}}
)
"""What Martinez et al., Hossain and Little, and VideoPose3D call the joints that a stacked hourglass finds."""

_EARS = {"left_ear": 0.5, "right_ear": 0.5}

COCO_TO_HUMANEVA = Conversion(
    "coco17-humaneva15-mid", COCO_17, HUMANEVA_15, {"pelvis": _PELVIS, "thorax": _THORAX, "head": _EARS}
)
"""Midpoints: for detections in COCO's layout, which is what VideoPose3D's authors publish."""

BLAZEPOSE_TO_HUMANEVA = Conversion(
    "blazepose33-humaneva15-mid", BLAZEPOSE_33, HUMANEVA_15, {"pelvis": _PELVIS, "thorax": _THORAX, "head": _EARS}
)
"""The same of BlazePose's joints."""

H36M_TO_HUMANEVA = Conversion("h36m17-humaneva15-mid", H36M_17, HUMANEVA_15, {"head": {"nose": 0.5, "head_top": 0.5}})
"""The middle of the head for the head."""

_EYES = {"left_eye": 0.5, "right_eye": 0.5}

_OTHERS_TO_H36M = tuple(
    Conversion(
        f"{source.name}-h36m17-mid", source, H36M_17, {"pelvis": _PELVIS, "spine": _SPINE, "thorax": _THORAX} | head
    )
    for source, head in (
        (BODY_25, {"head_top": _EYES}),
        (OPENPOSE_18, {"head_top": _EYES}),
        (OPENPOSE_MPI_15, {"nose": {"neck": 0.5, "head_top": 0.5}}),
        (HALPE_26, {}),
        (COCO_FEET_23, {"head_top": _EYES}),
    )
)
"""Midpoints, as of COCO's and MPII's joints; Halpe has a crown of its own."""

CONVERSIONS: Mapping[str, Conversion] = {
    c.name: c
    for c in (
        COCO_TO_H36M, MPII_TO_H36M, BLAZEPOSE_TO_H36M, MPII_TO_H36M_16, COCO_TO_HUMANEVA, BLAZEPOSE_TO_HUMANEVA,
        H36M_TO_HUMANEVA, *_OTHERS_TO_H36M,
    )
}  # fmt: skip


def get_conversion(source: str, target: str) -> Conversion:
    """The conversion between two layouts, by their names.

    It is one of `CONVERSIONS`; or it copies joints of the same names, if the source has all that the target has; or it
    goes by way of Human3.6M's joints.

    Raises:
        UsageError: there is none.
    """
    if direct := _direct(source, target):
        return direct
    first, second = _direct(source, H36M_17.name), _direct(H36M_17.name, target)
    if first and second:
        return _chained(first, second)
    raise UsageError(f"no conversion from joint layout {source!r} to {target!r}; known are {', '.join(CONVERSIONS)}")


def order_of(source: Skeleton, target: Skeleton) -> list[int]:
    """The joints of one layout in the order of another: `joints[:, order_of(source, target)]`.

    Raises:
        UsageError: they are not the same joints.
    """
    if set(source.joints) != set(target.joints):
        raise UsageError(f"joints in layout {source.name} are not those of {target.name}")
    return [source.index(joint) for joint in target.joints]


def _direct(source: str, target: str) -> Conversion | None:
    for conversion in CONVERSIONS.values():
        if (conversion.source.name, conversion.target.name) == (source, target):
            return conversion
    found, wanted = get_skeleton(source), get_skeleton(target)
    return Conversion(f"{source}-{target}", found, wanted, {}) if set(wanted.joints) <= set(found.joints) else None


def _chained(first: Conversion, second: Conversion) -> Conversion:
    weights_TS = second.matrix @ first.matrix
    recipe = {
        joint: {first.source.joints[parent]: float(row[parent]) for parent in np.flatnonzero(row)}
        for joint, row in zip(second.target.joints, weights_TS, strict=True)
    }
    return Conversion(f"{first.name}+{second.name}", first.source, second.target, recipe)
