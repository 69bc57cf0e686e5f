"""A body that can only move as bodies do, and how its bones follow the unknowns it is moved by.

Bones have fixed lengths. Pelvis, spine, thorax, head, both hips and both shoulders turn freely; knees and elbows are
hinges, with one angle each. So a frame has 8 x 3 + 4 + 3 = 31 unknowns: small turns of the free joints about the axes
of the camera's frame, changes of the hinges' angles, and a shift of the root.

Shape suffixes: N frames, J joints, F free joints, H hinges, U unknowns, D the 3 of a position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from vidpose.body.kinematics import HINGES, orientations, rest_directions
from vidpose.body.skeletons import H36M_17

LAYOUT = H36M_17
_JOINTS = len(LAYOUT)

FREE = tuple(LAYOUT.index(joint) for joint in ("pelvis", "spine", "thorax", "nose", "left_hip", "right_hip",
                                               "left_shoulder", "right_shoulder"))  # fmt: skip
HINGED = tuple(LAYOUT.index(joint) for joint in HINGES)
UPPER = tuple(LAYOUT.parents[joint] for joint in HINGED)
"""The joint above each hinge."""

LOWER = tuple(LAYOUT.parents.index(joint) for joint in HINGED)
"""The joint below each hinge."""

TRUNK = tuple(LAYOUT.parents[joint] for joint in UPPER)
"""The joint that the limb of each hinge hangs on; hips and shoulders have a bone to it."""

_STRAIGHT = np.radians(70)
"""Of bend, from which on a limb's joints tell which way it bends."""

_TWISTED = np.radians(60)
"""How far thighs and upper arms of straight limbs are turned about themselves at most, to begin with."""

BENDS = (np.radians(-5), np.radians(155))
"""What knees and elbows can do, from overstretched to bent."""

REST_HD = rest_directions(LAYOUT)[list(HINGED)]
"""Directions of thighs and upper arms in the rest pose."""

_AXES_HD = np.array(list(HINGES.values()), float)

UNKNOWNS = 3 * len(FREE) + len(HINGED) + 3
_BENDS = slice(3 * len(FREE), 3 * len(FREE) + len(HINGED))
ROOT = slice(UNKNOWNS - 3, UNKNOWNS)


def turn_of(joint: int) -> slice:
    """The unknowns that turn a free joint."""
    place = FREE.index(joint)
    return slice(3 * place, 3 * place + 3)


@dataclass(frozen=True)
class Body:
    """Moments of a body.

    Attributes:
        offsets: (J, 3) bones of the rest pose, metres.
        turned: (N, F, 3, 3) orientations of the free joints.
        bends: (N, H) angles of the hinges, radians, 0 straight.
        roots: (N, 3) metres in the camera's frame.
    """

    offsets: np.ndarray
    turned: np.ndarray
    bends: np.ndarray
    roots: np.ndarray

    @staticmethod
    def of_joints(offsets: np.ndarray, joints: np.ndarray, roots: np.ndarray) -> Body:
        """The body that stands nearly as (N, J, 3) joints do, which need not have its bones' lengths."""
        turned_NFDD = orientations(joints, LAYOUT, FREE)
        above_NHD = joints[:, HINGED] - joints[:, UPPER]
        below_NHD = joints[:, LOWER] - joints[:, HINGED]
        axes_NHD = _hinge_axes(turned_NFDD)
        sine = (np.cross(above_NHD, below_NHD) * axes_NHD).sum(axis=-1)
        bends_NH = np.arctan2(sine, (above_NHD * below_NHD).sum(axis=-1))
        return Body(offsets, turned_NFDD, bends_NH, roots)._untwisted()

    def _untwisted(self) -> Body:
        """The same joints, but for nearly straight limbs whose hinge looks backwards.

        Which way such a limb bends is noise, and from half a turn away a fit does not find back.
        """
        twists_NH, _ = self.twists()
        straight_NH = np.abs(self.bends) < _STRAIGHT
        excess_NH = (twists_NH - np.clip(twists_NH, -_TWISTED, _TWISTED)) * straight_NH
        turned_NFDD, uppers = self.turned.copy(), [FREE.index(joint) for joint in UPPER]
        back_NHDD = Rotation.from_rotvec((-excess_NH[..., None] * REST_HD).reshape(-1, 3)).as_matrix()
        turned_NFDD[:, uppers] @= back_NHDD.reshape(*excess_NH.shape, 3, 3)
        bends_NH = np.where(excess_NH == 0, self.bends, np.clip(self.bends * np.cos(excess_NH), *BENDS))
        return Body(self.offsets, turned_NFDD, bends_NH, self.roots)

    @staticmethod
    def joined(parts: Sequence[Body]) -> Body:
        """One body of several, moment after moment."""
        moments = (np.concatenate([getattr(part, name) for part in parts]) for name in ("turned", "bends", "roots"))
        return Body(parts[0].offsets, *moments)

    def __len__(self) -> int:
        return len(self.roots)

    def __getitem__(self, rows: slice) -> Body:
        return Body(self.offsets, self.turned[rows], self.bends[rows], self.roots[rows])

    def moved(self, change_NU: np.ndarray) -> Body:
        """The body after a change of its unknowns."""
        turns = Rotation.from_rotvec(change_NU[:, : 3 * len(FREE)].reshape(-1, 3)).as_matrix()
        turned = turns.reshape(self.turned.shape) @ self.turned
        return Body(self.offsets, turned, self.bends + change_NU[:, _BENDS], self.roots + change_NU[:, ROOT])

    def orientations(self) -> np.ndarray:
        """(N, J, 3, 3) of every joint; those that no bone leaves turn with the bone they end."""
        turned_NJDD = np.empty((len(self), _JOINTS, 3, 3))
        turned_NJDD[:, FREE] = self.turned
        hinge_axes = (self.bends[..., None] * _AXES_HD).reshape(-1, 3)
        bent_NHDD = Rotation.from_rotvec(hinge_axes).as_matrix().reshape(*self.bends.shape, 3, 3)
        turned_NJDD[:, HINGED] = turned_NJDD[:, UPPER] @ bent_NHDD
        for joint, parent in enumerate(LAYOUT.parents):
            if joint not in LAYOUT.parents:
                turned_NJDD[:, joint] = turned_NJDD[:, parent]
        return turned_NJDD

    def bones(self) -> np.ndarray:
        """(N, J, 3) from each joint's parent to it; zero for the root."""
        parents = [max(parent, 0) for parent in LAYOUT.parents]
        return (self.orientations()[:, parents] @ self.offsets[..., None])[..., 0]

    def joints(self) -> np.ndarray:
        """(N, J, 3) metres relative to the root."""
        return PATHS_JJ @ self.bones()

    def hinge_axes(self) -> np.ndarray:
        """(N, H, 3) unit vectors about which the hinges bend, in the camera's frame."""
        return _hinge_axes(self.turned)

    def twists(self) -> tuple[np.ndarray, np.ndarray]:
        """How far thighs and upper arms are turned about themselves, against the swing from the rest pose.

        Returns:
            (N, H) radians, in the order of `HINGED`; and (N, H) how well that is known, 0 to 1: not at all where they
            point opposite to the rest pose.
        """
        turn = np.swapaxes(self.orientations()[:, TRUNK], -1, -2) @ self.orientations()[:, UPPER]
        axis = np.stack([turn[..., 2, 1] - turn[..., 1, 2], turn[..., 0, 2] - turn[..., 2, 0],
                         turn[..., 1, 0] - turn[..., 0, 1]], axis=-1)  # fmt: skip
        twists_NH = 2 * np.arctan2((axis * REST_HD).sum(axis=-1), 1 + np.trace(turn, axis1=-2, axis2=-1))
        along_NH = ((turn @ REST_HD[..., None])[..., 0] * REST_HD).sum(axis=-1)
        return twists_NH, np.sqrt(np.clip(1 + along_NH, 0, 1))

    def bone_derivatives(self) -> np.ndarray:
        """(N, J, 3, U) of `bones` by the unknowns, at no change."""
        bones_NJD, axes_NHD = self.bones(), self.hinge_axes()
        by_NJDU = np.zeros((len(self), _JOINTS, 3, UNKNOWNS))
        for joint, parent in enumerate(LAYOUT.parents):
            if parent < 0:
                continue
            mover = UPPER[HINGED.index(parent)] if parent in HINGED else parent
            by_NJDU[:, joint, :, turn_of(mover)] = -cross_matrices(bones_NJD[:, joint])
        for hinge, lower in enumerate(LOWER):
            by_NJDU[:, lower, :, _BENDS.start + hinge] = np.cross(axes_NHD[:, hinge], bones_NJD[:, lower])
        return by_NJDU

    def joint_derivatives(self, chosen: Sequence[int]) -> np.ndarray:
        """(N, chosen, 3, U) of the chosen `joints` by the unknowns, at no change."""
        by_NJK = self.bone_derivatives().reshape(len(self), _JOINTS, -1)
        return (PATHS_JJ[list(chosen)] @ by_NJK).reshape(len(self), len(chosen), 3, UNKNOWNS)


def _hinge_axes(turned_NFDD: np.ndarray) -> np.ndarray:
    return (turned_NFDD[:, [FREE.index(joint) for joint in UPPER]] @ _AXES_HD[..., None])[..., 0]


def cross_matrices(vectors: np.ndarray) -> np.ndarray:
    """(N, 3, 3) the matrices that take a vector to the cross products of (N, 3) vectors with it."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(-1, 3, 3)


def _paths() -> np.ndarray:
    paths_JJ = np.zeros((_JOINTS, _JOINTS))
    for joint in range(_JOINTS):
        bone = joint
        while LAYOUT.parents[bone] >= 0:
            paths_JJ[joint, bone] = 1
            bone = LAYOUT.parents[bone]
    return paths_JJ


PATHS_JJ = _paths()
"""(J, J) 1 where the bone that ends at the second joint lies between the root and the first."""
