"""SMPL, SMPL-H and SMPL-X, from a file that the user holds a licence for.

Loper et al., "SMPL: A Skinned Multi-Person Linear Model", 2015; Romero et al., "Embodied Hands", 2017; Pavlakos et al.,
"Expressive Body Capture", 2019. Read are the template, the first ten shape directions, the regressor of joints, the
tree and the weights. What bends the mesh with the pose (`posedirs`) is left out: bones alone carry it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vidpose.body.skeletons import Skeleton
from vidpose.body_models.body_model import BodyModel, Dial, Follow, Landmark, RestBody
from vidpose.common.errors import VidposeError
from vidpose.common.npz import open_npz

_KINDS = {24: "smpl", 52: "smplh", 55: "smplx"}
"""Number of bones -> the model."""

_BONES = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
"""Those that all three begin with."""

_SHAPES = 10

_FOLLOWS = {
    "pelvis": Follow("pelvis"), "spine1": Follow("pelvis", "spine", 0.5), "spine2": Follow("spine"),
    "spine3": Follow("thorax"), "neck": Follow("thorax", "nose", 0.4), "head": Follow("nose"),
    **{f"{side}_collar": Follow("thorax", f"{side}_shoulder", 0.15) for side in ("left", "right")},
    **{f"{side}_{joint}": Follow(f"{side}_{joint}") for side in ("left", "right")
       for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")},
}  # fmt: skip

_LANDMARKS = {
    "pelvis": Landmark("pelvis", "pelvis"), "spine": Landmark("spine2", "spine1"),
    "thorax": Landmark("neck", "spine3"), "nose": Landmark("head", "head"), "head_top": Landmark("head", "head"),
    **{f"{side}_{joint}": Landmark(f"{side}_{joint}", held_by.format(side)) for side in ("left", "right")
       for joint, held_by in (("hip", "pelvis"), ("knee", "{}_hip"), ("ankle", "{}_knee"), ("shoulder", "{}_collar"),
                              ("elbow", "{}_shoulder"), ("wrist", "{}_elbow"))},
}  # fmt: skip

_ADVICE = "give the .npz of SMPL, SMPL-H or SMPL-X as their authors publish it"

_PICKLED = (
    "a pickle, which could run code, and is not read; save its arrays v_template, shapedirs, J_regressor (dense), "
    "kintree_table, weights and f with numpy's savez, and give that .npz"
)


class SmplModel(BodyModel):
    """Bodies of one sex, by betas.

    Args:
        template: (V, 3) metres.
        directions: (V, 3, S) of the shape.
        regressor: (B, V) that gives the heads of bones of vertices.
        parents: (B,).
        weights, faces: as of `BodyModel`.
        gender: as files of motion say it: "female", "male" or "neutral".
    """

    def __init__(
        self,
        template: np.ndarray,
        directions: np.ndarray,
        regressor: np.ndarray,
        parents: tuple[int, ...],
        weights: np.ndarray,
        faces: np.ndarray,
        gender: str,
    ) -> None:
        self._template, self._directions, self._regressor, self.gender = template, directions, regressor, gender
        name = _KINDS[len(parents)]
        bones = (*_BONES, *(f"bone_{number}" for number in range(len(_BONES), len(parents))))
        dials = {f"beta{number}": Dial(-5, 5, 0, fitted=True, cost=0.1) for number in range(directions.shape[-1])}
        super().__init__(name, Skeleton(name, bones, parents), faces, weights, dials, _FOLLOWS, _LANDMARKS)

    def rest(self, shape: Mapping[str, float]) -> RestBody:
        vertices = self._template + self._directions @ self.betas(shape)
        return RestBody(vertices, self._regressor @ vertices)

    def betas(self, shape: Mapping[str, float]) -> np.ndarray:
        """(S,) where the dials stand."""
        return np.array([shape.get(name, dial.usual) for name, dial in self.dials.items()])


def read_smpl(path: Path) -> SmplModel:
    """The model in a file.

    Raises:
        VidposeError: it cannot be read, or holds no such body.
    """
    if path.suffix.lower() in (".pkl", ".pickle"):
        raise VidposeError(f"{path}: {_PICKLED}")
    with open_npz(path, "a body model", _ADVICE) as file:
        weights = file.read("weights", (None, None), "f")
        vertices, bones = weights.shape
        if bones not in _KINDS or not 3 < vertices < 65_536:
            raise ValueError(f"{vertices} vertices on {bones} bones, where 24, 52 or 55 bones are due")
        template = file.read("v_template", (vertices, 3), "f").astype(np.float64)
        directions = file.read("shapedirs", (vertices, 3, None), "f")[..., :_SHAPES].astype(np.float64)
        regressor = file.read("J_regressor", (bones, vertices), "f").astype(np.float64)
        parents = (-1, *file.read("kintree_table", (2, bones), "n")[0, 1:].astype(np.int64).tolist())
        faces = file.read("f", (None, 3), "n").astype(np.int64)
        for name, numbers in (("v_template", template), ("shapedirs", directions), ("J_regressor", regressor),
                              ("weights", weights)):  # fmt: skip
            if not np.isfinite(numbers).all():
                raise ValueError(f"{name} has numbers that are none")
        if any(not 0 <= parent < bone for bone, parent in enumerate(parents) if bone):
            raise ValueError("kintree_table is no tree whose parents come first")
        if not len(faces) or faces.min() < 0 or faces.max() >= vertices:
            raise ValueError("f names vertices that are not there")
        if not np.allclose(weights.sum(axis=1), 1, atol=1e-3) or not 0.5 < np.ptp(template[:, 1]) < 3:
            raise ValueError("its weights do not add up to one, or its template is not as tall as people, y up")
    gender = next((sex for sex in ("female", "male") if sex in path.name.lower()), "neutral")
    return SmplModel(template, directions, regressor, parents, weights.astype(np.float32), faces, gender)
