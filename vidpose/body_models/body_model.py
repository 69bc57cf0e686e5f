"""What a skinned body is: a mesh at rest, bones that carry it, and dials for its shape.

A model's rest pose has the axes of `vidpose.body.kinematics`: x to the person's own left, y up, z where the person
looks. Its limbs may hang in any way: a track's rotations are of a T pose, and `BodyModel.to_rest` turns one into the
other.

Shape suffixes: N frames, V vertices, B bones, D the 3 of a position.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vidpose.body.kinematics import swing
from vidpose.body.skeletons import Skeleton
from vidpose.common.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Dial:
    """One way in which bodies differ.

    Attributes:
        low, high: what it can be set to.
        usual: where it stands unless it is set.
        fitted: bones say where it belongs; the others are the user's to set.
        cost: metres of a bone's length that all of its way is worth, where it is fitted.
    """

    low: float
    high: float
    usual: float
    fitted: bool = False
    cost: float = 0.03


@dataclass(frozen=True)
class Follow:
    """How a bone is turned to begin with: as joints of a track are.

    Attributes:
        joint: the joint whose rotation it takes.
        towards: another one, whose rotation it takes in part.
        share: of the way from the first to the other.
    """

    joint: str
    towards: str = ""
    share: float = 0.0


@dataclass(frozen=True)
class Landmark:
    """Where a model has what a track calls a joint: near the head of a bone, and held by a bone.

    Attributes:
        head: the bone that begins there.
        held_by: the bone in whose frame the way from that head to the track's joint is constant.
    """

    head: str
    held_by: str


@dataclass(frozen=True)
class RestBody:
    """A body of one shape in its model's rest pose: (V, 3) vertices and (B, 3) heads of bones, metres."""

    vertices: np.ndarray
    heads: np.ndarray

    def offsets(self, layout: Skeleton) -> np.ndarray:
        """(B, 3) from the head of each bone's parent to its own; zero for the root."""
        return self.heads - self.heads[[max(parent, 0) for parent in layout.parents]]


LIMBS: Mapping[str, tuple[str, tuple[float, float, float]]] = {
    f"{side}_{joint}": (f"{side}_{end}", (sign * x, y, 0.0))
    for side, sign in (("left", 1.0), ("right", -1.0))
    for joint, end, x, y in (("hip", "knee", 0.0, -1.0), ("knee", "ankle", 0.0, -1.0), ("shoulder", "elbow", 1.0, 0.0),
                             ("elbow", "wrist", 1.0, 0.0))
}  # fmt: skip
"""Joint -> the joint at the other end of the bone, and where that bone points in the T pose of tracks."""


class BodyModel(ABC):
    """A family of bodies.

    Args:
        name: as files and messages call it.
        layout: its bones as the joints that they begin at, parents before their children; a side is a prefix.
        faces: (F, 3) vertices of the triangles, anticlockwise from outside.
        weights: (V, B) float32 shares of the bones in each vertex.
        dials: by name.
        follows: by bone; a bone that is not named goes with its parent.
        landmarks: by the name of a track's joint.
        titles: what its bones are called by its authors; as in `layout` unless given.

    Attributes:
        movers: what turns the bones, each once: bones that follow alike turn together.
        mover_of: for each bone, the index of its mover.
    """

    def __init__(
        self,
        name: str,
        layout: Skeleton,
        faces: np.ndarray,
        weights: np.ndarray,
        dials: Mapping[str, Dial],
        follows: Mapping[str, Follow],
        landmarks: Mapping[str, Landmark],
        titles: Sequence[str] = (),
    ) -> None:
        self.name, self.layout, self.faces, self.weights = name, layout, faces, weights
        self.dials, self.landmarks, self.titles = dials, landmarks, tuple(titles or layout.joints)
        theirs: list[Follow] = []
        for bone, parent in zip(layout.joints, layout.parents, strict=True):
            theirs.append(follows[bone] if bone in follows else theirs[parent])
        self.movers = tuple(dict.fromkeys(theirs))
        self.mover_of = [self.movers.index(follow) for follow in theirs]

    @property
    def carriers(self) -> list[int]:
        """For each bone the one nearest the root of those that it turns with as one piece."""
        found: list[int] = []
        for bone, parent in enumerate(self.layout.parents):
            as_one = parent >= 0 and self.mover_of[parent] == self.mover_of[bone]
            found.append(found[parent] if as_one else bone)
        return found

    @abstractmethod
    def rest(self, shape: Mapping[str, float]) -> RestBody:
        """The body of a shape; dials that it does not name stand where they usually do."""

    def checked(self, shape: Mapping[str, float]) -> dict[str, float]:
        """A shape that a user asks for.

        Raises:
            UsageError: there is no such dial, or it does not go so far.
        """
        for name, value in shape.items():
            if name not in self.dials:
                raise UsageError(
                    f"`shape={name}`: no such dial of {self.name}; {did_you_mean(name, self.dials)}"
                    f"there are {', '.join(self.dials)}"
                )
            dial = self.dials[name]
            if not dial.low <= value <= dial.high:
                raise UsageError(f"`shape={name}={value:g}`: {name} goes from {dial.low:g} to {dial.high:g}")
        return dict(shape)

    def to_rest(self, heads: np.ndarray) -> dict[str, np.ndarray]:
        """By joint, the (3, 3) rotation that takes the limb it turns from the model's rest pose to the T pose.

        The least one from the limb above, so that knees and elbows go on bending about the axes they have. Joints that
        turn no limb, and feet, stand alike in both.
        """
        turns: dict[str, np.ndarray] = {}
        for joint, (end, pointing) in LIMBS.items():
            start_D, end_D = (heads[self.layout.index(self.landmarks[name].head)] for name in (joint, end))
            above_DD = turns.get(joint, np.eye(3))
            along_D = above_DD @ (end_D - start_D) / np.linalg.norm(end_D - start_D)
            turns[joint] = turns[end] = swing(along_D, np.array([pointing]))[0] @ above_DD
        for side in ("left", "right"):
            del turns[f"{side}_ankle"]
        return turns


def skinned(model: BodyModel, rest: RestBody, turns: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Vertices carried by bones: linear blend skinning.

    Args:
        rest: the body before it moves.
        turns: (N, B, 3, 3) rotations of the bones from the rest pose.
        heads: (N, B, 3) where the bones' heads are.

    Returns:
        (N, V, 3) float32.
    """
    shifts_NBD = heads - (turns @ rest.heads[:, :, None])[..., 0]
    moves_NB = np.concatenate([turns, shifts_NBD[..., None]], axis=-1).astype(np.float32).reshape(*turns.shape[:2], 12)
    blended_NV = (model.weights @ moves_NB).reshape(len(turns), -1, 3, 4)
    vertices_VD = rest.vertices.astype(np.float32)
    return (blended_NV[..., :3] @ vertices_VD[:, :, None])[..., 0] + blended_NV[..., 3]


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 3) vectors that stand on the faces, out of the mesh, as long as twice their areas."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    return np.cross(b - a, c - a)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit vectors out of the mesh: the mean of the faces around each vertex, by area."""
    across_FD = np.repeat(face_normals(vertices, faces), 3, axis=0)
    sums = [np.bincount(faces.ravel(), across_FD[:, axis], len(vertices)) for axis in range(3)]
    sums_VD = np.stack(sums, axis=-1)
    lengths_V1 = np.linalg.norm(sums_VD, axis=-1, keepdims=True)
    return np.where(lengths_V1 > 0, sums_VD / np.where(lengths_V1 > 0, lengths_V1, 1), (0.0, 1, 0))
