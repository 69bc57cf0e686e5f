"""Skinned bodies for the page of a result: as little as a browser needs to move them itself.

Bones that always turn together are one part. The page holds the mesh once, each person's body at rest, and for each
frame how the parts are turned and where the root is; `page/bodies.js` is the other end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vidpose.body.kinematics import quaternions_of
from vidpose.body.pieces import pieces
from vidpose.body.tracks import PoseResult, Track
from vidpose.body_models.body_model import BodyModel
from vidpose.body_models.embodying import MovingBody, embody
from vidpose.common.errors import VidposeError
from vidpose.export.placing import axes_of, root_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RigidParts:
    """The bones of a model, those that turn as one piece together.

    Attributes:
        bones: the first bone of each part.
        parents: for each part the one that carries it, which comes before it; -1 for the first.
        weights: (V, P) shares of the parts in each vertex.
    """

    bones: tuple[int, ...]
    parents: tuple[int, ...]
    weights: np.ndarray

    @staticmethod
    def of(model: BodyModel) -> RigidParts:
        """Those of a model."""
        carriers = model.carriers
        bones = tuple(sorted(set(carriers)))
        above = [model.layout.parents[bone] for bone in bones]
        weights = np.zeros((len(model.weights), len(bones)))
        np.add.at(weights.T, [bones.index(bone) for bone in carriers], model.weights.T)
        return RigidParts(bones, tuple(-1 if bone < 0 else bones.index(carriers[bone]) for bone in above), weights)


@dataclass(frozen=True)
class PageBody:
    """One person's body; N rows, those of the track, V vertices, P parts.

    Attributes:
        rest: (V, 3) metres, the vertices at rest, from the head of the root.
        heads: (P, 3) where the parts begin at rest.
        turns: (N, P, 4) unit quaternions from rest into the scene's axes; NaN where there is no pose.
        roots: (N, 3) where the head of the root is in the scene.
    """

    rest: np.ndarray
    heads: np.ndarray
    turns: np.ndarray
    roots: np.ndarray


def has_rotations(track: Track) -> bool:
    """Somebody fitted a body to the track, somewhere."""
    return bool(np.isfinite(track.rotations).any())


def page_body(
    result: PoseResult,
    track: Track,
    joints: np.ndarray,
    model: BodyModel,
    parts: RigidParts,
    done: Callable[[float], None],
) -> PageBody | None:
    """The body of somebody who has rotations; None, with a warning, for bones that nobody has.

    Args:
        joints: (N, J, 3) metres, where the track's joints are in the scene (`vidpose.export.scene`), z up.
        done: called now and then with how many more poses, or parts of them, are done.
    """
    try:
        body: MovingBody = embody(result.with_tracks((track,)), model, done=done)[track.id]
    except VidposeError as error:
        log.warning("%s; the page shows the skeleton", error)
        return None
    axes, root = axes_of(result, "z"), body.rest.heads[0]
    return PageBody(
        body.rest.vertices - root,
        body.rest.heads[list(parts.bones)] - root,
        _turns(body, axes, parts),
        joints[:, root_of(result)] + body.roots @ axes.T,
    )


def _turns(body: MovingBody, axes: np.ndarray, parts: RigidParts) -> np.ndarray:
    """(N, P, 4) of a page's body."""
    turns, before = np.full((len(body.posed), len(parts.bones), 4), np.nan), None
    posed = np.flatnonzero(body.posed)
    for rows in (posed[some] for some in pieces(len(posed))):
        turns[rows] = quaternions_of(axes @ body.turns(rows)[:, list(parts.bones)], before)
        before = turns[rows[-1]]
    return turns
