"""A body as a tree of rigid bones: its rest pose, how its bones are turned, and its joints from those turns.

The rest pose is a T pose of someone who faces the reader of a chart: x to the person's own left, y up, z where the
person looks; right-handed. An orientation turns the bones that leave a joint from the rest pose into the frame that the
joints are given in, whichever that is. So of someone who stands upright and faces the camera (x right, y down, z away)
every orientation is a half turn about x.

Bones that leave the same joint turn together: hips and lower back with the pelvis, neck and shoulders with the thorax.
Hands, feet and the crown, which nothing leaves, turn with the bone they end.

Shape suffixes: N frames, J joints, C children of a joint, D the 3 of a position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy

import numpy as np
from scipy.spatial.transform import Rotation

from vidpose.body.pieces import ByRows, pieces
from vidpose.body.skeletons import H36M_17, H36M_27, Skeleton
from vidpose.common.errors import UsageError

_LEFT = np.array([1.0, 0.0, 0.0])

_REST: Mapping[str, tuple[float, float, float]] = {
    "right_hip": (-1, 0, 0), "left_hip": (1, 0, 0), "spine": (0, 1, 0), "thorax": (0, 1, 0),
    "right_knee": (0, -1, 0), "right_ankle": (0, -1, 0), "left_knee": (0, -1, 0), "left_ankle": (0, -1, 0),
    "left_shoulder": (0.968, -0.243, -0.060), "right_shoulder": (-0.968, -0.243, -0.060),
    "left_elbow": (1, 0, 0), "left_wrist": (1, 0, 0), "right_elbow": (-1, 0, 0), "right_wrist": (-1, 0, 0),
    "nose": (0, 0.914, 0.407), "head_top": (0, 0.990, -0.139),
    **{f"{side}_{joint}": (sign * x, y, z) for side, sign in (("left", 1), ("right", -1)) for joint, (x, y, z) in (
        ("toe", (0, -0.28, 0.96)), ("heel", (0, -0.64, -0.77)), ("index", (0.99, 0, 0.14)), ("pinky", (0.99, 0, -0.14)),
        ("thumb", (0.93, -0.18, 0.33)))},
}  # fmt: skip
"""Where the bone that ends at a joint of `H36M_27` points. Around the thorax, the mean of the 16 training subjects of
the CMU motion capture shards, after each frame was turned onto it; elsewhere the axes themselves."""

HINGES: Mapping[str, tuple[float, float, float]] = {
    "left_knee": (1, 0, 0), "right_knee": (1, 0, 0), "left_elbow": (0, -1, 0), "right_elbow": (0, 1, 0),
}  # fmt: skip
"""The rest pose's axis that a joint bends about, right-handed: shanks go back, forearms to the front."""

_STRAIGHT = 0.3
"""Weight, beside the sine of the bend, of where a straight limb's hinge would be: half of it all at 17 degrees."""

_ROUNDS = 5
"""Between the pelvis' and the thorax' orientations and the shape of the bones that leave them; 3 are enough."""


def rest_directions(layout: Skeleton) -> np.ndarray:
    """(J, 3) unit vectors of the rest pose from each joint's parent to it; zero for the root.

    Raises:
        UsageError: no rest pose is known for the layout.
    """
    if layout not in (H36M_17, H36M_27):
        raise UsageError(f"bones of joint layout {layout.name!r} have no rest pose; use a lifter for {H36M_17.name}")
    directions_JD = np.array([_REST.get(joint, (0, 0, 0)) for joint in layout.joints], float)
    return directions_JD / np.maximum(np.linalg.norm(directions_JD, axis=-1, keepdims=True), 1e-12)


def bone_lengths(joints: np.ndarray, layout: Skeleton) -> np.ndarray:
    """(J,) median distance of each joint of (N, J, 3) from its parent, over the frames that have it; 0 for the root.

    NaN where no frame has both.
    """
    lengths_J = np.zeros(len(layout))
    for parent, child in _tree(layout):
        lengths_N = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
        there_N = np.isfinite(lengths_N)
        lengths_J[child] = np.median(lengths_N[there_N]) if there_N.any() else np.nan
    return lengths_J


def rest_offsets(joints: np.ndarray, layout: Skeleton, orientations: ByRows | None = None) -> np.ndarray:
    """(J, 3) a body's bones in the rest pose, from each joint's parent to it, in the joints' unit; zero for the root.

    They have the lengths of `bone_lengths`, and point where `rest_directions` do, except for those that leave pelvis
    and thorax: how these stand to each other is the body's own, the mean over its frames.

    Args:
        joints: (N, J, 3) positions, NaN where absent.
        orientations: (N, J, 3, 3) of the same frames, by rows; None: as `orientations` finds them.

    Raises:
        UsageError: no rest pose is known for the layout.
    """
    offsets_JD = rest_directions(layout)
    there_N = np.isfinite(joints).all(axis=(1, 2))
    if orientations is None:
        return (
            _Body(joints[there_N].astype(np.float64), layout).offsets_JD
            if there_N.any()
            else np.full_like(offsets_JD, np.nan)
        )
    bones, turned_NJD = _tree(layout), np.empty((len(joints), len(layout), 3))
    for rows in pieces(len(joints)):
        bones_NJD, turns_NJDD = joints[rows].astype(np.float64), orientations[rows]
        there_N[rows] &= np.isfinite(turns_NJDD).all(axis=(1, 2, 3))
        for parent, child in bones:
            bone_ND1 = (bones_NJD[:, child] - bones_NJD[:, parent])[..., None]
            turned_NJD[rows, child] = (_back(turns_NJDD[:, parent]) @ bone_ND1)[..., 0]
    if not there_N.any():
        return np.full_like(offsets_JD, np.nan)
    for parent, child in bones:
        bone_ND = joints[there_N, child].astype(np.float64) - joints[there_N, parent]
        offsets_JD[child] = _unit(turned_NJD[there_N, child].mean(axis=0)) * np.median(np.linalg.norm(bone_ND, axis=-1))
    return offsets_JD


def pose(offsets: np.ndarray, orientations: np.ndarray, roots: np.ndarray, layout: Skeleton) -> np.ndarray:
    """Joints (N, J, 3) of a body: forward kinematics with fixed offsets.

    Args:
        offsets: (J, 3) the body's bones in the rest pose (`rest_offsets`).
        orientations: (N, J, 3, 3), as `orientations` gives them.
        roots: (N, 3) where the root joint is.
    """
    joints_NJD = np.empty((len(roots), len(layout), 3))
    joints_NJD[:, layout.parents.index(-1)] = roots
    for parent, child in _tree(layout):
        joints_NJD[:, child] = joints_NJD[:, parent] + orientations[:, parent] @ offsets[child]
    return joints_NJD


def orientations(joints: np.ndarray, layout: Skeleton, chosen: Sequence[int] | None = None) -> np.ndarray:
    """How the bones that leave each joint are turned, from the joints alone.

    Pelvis and thorax, which several bones leave, are turned to bring these nearest to where they are in least squares
    (Kabsch, "A solution for the best rotation to relate two sets of vectors", 1976). Of a joint with one bone, the
    bone's direction leaves the roll about it open:

    - an arm or a leg rolls so that the normal of its bend lies along the joint's hinge. As it straightens, the hinge
      becomes where it would be had the upper bone swung from the rest pose without a twist, relative to the pelvis or
      the thorax;
    - the spine takes the mean of the pelvis' and the shoulders' direction to the left;
    - the head takes the plane of thorax, nose and crown, and the thorax' left where these lie on a line.

    Args:
        joints: (N, J, 3) positions in any unit, NaN where absent.
        chosen: joints that are asked for; None: all.

    Returns:
        (N, J or chosen, 3, 3) rotation matrices, float64; NaN in rows that lack a joint.

    Raises:
        UsageError: no rest pose is known for the layout.
    """
    rest_directions(layout)
    wanted = list(range(len(layout)) if chosen is None else chosen)
    turned_NJDD = np.full((len(joints), len(wanted), 3, 3), np.nan)
    there_N = np.isfinite(joints).all(axis=(1, 2))
    if not there_N.any():
        return turned_NJDD
    joints_NJD = joints if there_N.all() else joints[there_N]
    body, rows_N = _Body(joints_NJD.astype(np.float64, copy=False), layout), np.flatnonzero(there_N)
    for some in pieces(len(rows_N)):
        turned_NJDD[rows_N[some]] = body.some(some).turned()[:, wanted]
    return turned_NJDD


class _Body:
    """Joints of the frames that have them all, and what is found out about their bones on the way."""

    def __init__(self, joints_NJD: np.ndarray, layout: Skeleton):
        self.layout = layout
        self.joints_NJD = joints_NJD
        self.at = {joint: joints_NJD[:, i] for i, joint in enumerate(layout.joints)}
        self.offsets_JD = rest_directions(layout) * bone_lengths(joints_NJD, layout)[:, None]
        self.trunk = {joint: self._settle(layout.index(joint)) for joint in ("pelvis", "thorax")}
        self.rest = dict(zip(layout.joints, _unit(self.offsets_JD), strict=True))

    def _settle(self, joint: int) -> np.ndarray:
        """Orientations of a joint with several bones, and in turn how these stand to each other."""
        children = [child for child, parent in enumerate(self.layout.parents) if parent == joint]
        bones_NCD = self.joints_NJD[:, children] - self.joints_NJD[:, [joint]]
        lengths_C1 = np.linalg.norm(self.offsets_JD[children], axis=-1, keepdims=True)
        for _ in range(_ROUNDS):
            turned_NDD = _kabsch(bones_NCD, self.offsets_JD[children])
            mean_CD = np.einsum("nde,ncd->ce", turned_NDD, bones_NCD)
            self.offsets_JD[children] = _unit(mean_CD) * lengths_C1
        # The mean shape may turn as a whole; it is held against the rest pose.
        rest_CD = rest_directions(self.layout)[children] * lengths_C1
        back_DD = _kabsch(rest_CD[None], self.offsets_JD[children])[0]
        self.offsets_JD[children] = self.offsets_JD[children] @ back_DD.T
        return _kabsch(bones_NCD, self.offsets_JD[children])

    def some(self, rows: slice) -> _Body:
        """The same body in some of its frames."""
        part = copy(self)
        part.joints_NJD = self.joints_NJD[rows]
        part.at = {joint: points_ND[rows] for joint, points_ND in self.at.items()}
        part.trunk = {joint: turned_NDD[rows] for joint, turned_NDD in self.trunk.items()}
        return part

    def bone(self, start: str, end: str) -> np.ndarray:
        return _unit(self.at[end] - self.at[start])

    def turned(self) -> np.ndarray:
        found = dict(self.trunk)
        for side in ("left", "right"):
            for trunk, joints in (("pelvis", ("hip", "knee", "ankle")), ("thorax", ("shoulder", "elbow", "wrist"))):
                upper, middle, end = (f"{side}_{joint}" for joint in joints)
                found[upper], found[middle] = self.limb(found[trunk], upper, middle, end)
                found[end] = found[middle]
        across = self.bone("right_hip", "left_hip") + self.bone("right_shoulder", "left_shoulder")
        found["spine"] = _frames(self.bone("spine", "thorax"), across) @ _back(_frames(self.rest["thorax"], _LEFT))
        found["nose"] = found["head_top"] = self.head(found["thorax"])
        return np.stack([found[joint] for joint in self.layout.joints], axis=1)

    def limb(self, trunk_NDD: np.ndarray, upper: str, middle: str, end: str) -> tuple[np.ndarray, np.ndarray]:
        above_ND, below_ND = self.bone(upper, middle), self.bone(middle, end)
        hinge_D = np.array(HINGES[middle], float)
        swung_NDD = trunk_NDD @ swing(self.rest[middle], (_back(trunk_NDD) @ above_ND[..., None])[..., 0])
        hinge_ND = np.cross(above_ND, below_ND) + _STRAIGHT * swung_NDD @ hinge_D
        return (
            _frames(above_ND, hinge_ND) @ _back(_frames(self.rest[middle], hinge_D)),
            _frames(below_ND, hinge_ND) @ _back(_frames(self.rest[end], hinge_D)),
        )

    def head(self, thorax_NDD: np.ndarray) -> np.ndarray:
        neck_ND, skull_ND = self.bone("thorax", "nose"), self.bone("nose", "head_top")
        left_ND = np.cross(skull_ND, neck_ND) + 0.1 * thorax_NDD @ _LEFT
        return _frames(skull_ND, left_ND) @ _back(_frames(self.rest["head_top"], _LEFT))


def relative(orientations: np.ndarray, layout: Skeleton, chosen: Sequence[int] | None = None) -> np.ndarray:
    """(N, J or chosen, 3, 3) orientations as turns against each joint's parent, as BVH and glTF want them.

    The root stays.

    Args:
        orientations: (N, J, 3, 3).
        chosen: joints that are asked for; None: all.
    """
    wanted = list(range(len(layout)) if chosen is None else chosen)
    turns_NJDD = orientations[:, wanted]
    for place, child in enumerate(wanted):
        if layout.parents[child] >= 0:
            turns_NJDD[:, place] = _back(orientations[:, layout.parents[child]]) @ turns_NJDD[:, place]
    return turns_NJDD


def quaternions_of(matrices: np.ndarray, before: np.ndarray | None = None) -> np.ndarray:
    """(N, ..., 3, 3) rotations to (N, ..., 4) unit quaternions, the real part first, that do not jump in sign.

    Each has the sign nearer to the last frame's that has one, the first to those (..., 4) `before` it, if these are
    given; NaN stays NaN.
    """
    flat = matrices.reshape(-1, 3, 3)
    quaternions = np.full((len(flat), 4), np.nan)
    there = np.isfinite(flat).all(axis=(1, 2))
    if there.any():
        quaternions[there] = np.roll(Rotation.from_matrix(flat[there]).as_quat(), 1, axis=-1)
    quaternions = quaternions.reshape(*matrices.shape[:-2], 4)
    rows = np.isfinite(quaternions).all(axis=tuple(range(1, quaternions.ndim)))
    steps = (quaternions[rows][1:] * quaternions[rows][:-1]).sum(axis=-1, keepdims=True)
    quaternions[np.flatnonzero(rows)[1:]] *= np.cumprod(np.where(steps < 0, -1.0, 1.0), axis=0)
    if before is not None and rows.any():
        quaternions *= np.where((quaternions[rows][0] * before).sum(axis=-1, keepdims=True) < 0, -1.0, 1.0)
    return quaternions


def matrices_of(quaternions: np.ndarray) -> np.ndarray:
    """(..., 4) quaternions, the real part first, to (..., 3, 3) rotations; NaN stays NaN."""
    flat = quaternions.reshape(-1, 4)
    matrices = np.full((len(flat), 3, 3), np.nan)
    for rows in pieces(len(flat)):
        some = np.roll(flat[rows].astype(np.float64), -1, axis=-1)
        there = np.flatnonzero(np.isfinite(some).all(axis=1))
        if len(there):
            matrices[rows.start + there] = Rotation.from_quat(some[there]).as_matrix()
    return matrices.reshape(*quaternions.shape[:-1], 3, 3)


def _tree(layout: Skeleton) -> list[tuple[int, int]]:
    """(parent, child) of every bone, each parent before its children."""
    reached = {joint for joint, parent in enumerate(layout.parents) if parent < 0}
    bones: list[tuple[int, int]] = []
    while len(reached) < len(layout):
        new = [(p, c) for c, p in enumerate(layout.parents) if p in reached and c not in reached]
        bones += new
        reached |= {child for _, child in new}
    return bones


def _back(rotations: np.ndarray) -> np.ndarray:
    """The opposite turns of (..., 3, 3) rotations."""
    return np.swapaxes(rotations, -1, -2)


def _kabsch(moved_NCD: np.ndarray, rest_CD: np.ndarray) -> np.ndarray:
    """(N, 3, 3) the proper rotations that bring vectors (C, 3) nearest to (N, C, 3)."""
    u, _, vt = np.linalg.svd(np.einsum("ncd,ce->nde", moved_NCD, rest_CD))
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    return u @ vt


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _frames(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotations with the first column along a direction, the second as near to `across` as that allows.

    Joints that coincide have no direction between them: any will do.
    """
    first = np.where(np.linalg.norm(along, axis=-1, keepdims=True) < 1e-9, _LEFT, _unit(along))
    second = across - (across * first).sum(axis=-1, keepdims=True) * first
    lost = np.linalg.norm(second, axis=-1, keepdims=True) < 1e-9
    any_other = np.cross(first, np.eye(3)[np.abs(first).argmin(axis=-1)])
    second = _unit(np.where(lost, any_other, second))
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(N, 3, 3) the least rotations that turn a unit vector (3,) to unit vectors (N, 3); half turns about any axis."""
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis, axis=-1)
    fallback = np.cross(start, np.eye(3)[np.abs(start).argmin()])
    axis = np.where(sine[:, None] > 1e-9, axis / np.maximum(sine, 1e-12)[:, None], _unit(fallback))
    return Rotation.from_rotvec(axis * np.arctan2(sine, end @ start)[:, None]).as_matrix()
