"""Anny, the open body model that comes with vidpose.

Brégier et al., "Human Mesh Modeling for Anny Body", 2026; its code is Apache-2.0, its meshes are MakeHuman's (CC0).
`scripts/bake_body_model.py` made the file: bodies at the corners of a grid of phenotypes, between which Anny goes in
straight lines, and changes of the lengths of single parts. The code here is our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from vidpose.body.skeletons import Skeleton
from vidpose.body_models.body_model import BodyModel, Dial, Follow, Landmark, RestBody
from vidpose.weights.header import opened, read_header
from vidpose.weights.shipped import ShippedWeights

_FILE = ShippedWeights("anny.safetensors", "84583782967078ceaf36349b7f97d24ea41973c961afd778d9af3b9c666a1c0d")

_PHENOTYPES: Mapping[str, Dial] = {
    "age": Dial(1, 90, 30), "gender": Dial(0, 1, 0.5), "muscle": Dial(0, 1, 0.5), "weight": Dial(0, 1, 0.5),
    "height": Dial(0, 1, 0.5, fitted=True), "proportions": Dial(0, 1, 0.5),
}  # fmt: skip
"""Anny's own names; age in years. Bones say nothing of most of them, and gender is from male to female."""

_SCALE = Dial(0.4, 2, 1, fitted=True, cost=0.5)
"""Of the whole body: for people who are smaller or larger than the other dials can say."""

_TRUNK = {
    "root": Follow("pelvis"), "spine04": Follow("pelvis", "spine", 0.5), "spine03": Follow("spine"),
    "spine02": Follow("spine", "thorax", 0.6), "spine01": Follow("thorax"), "neck01": Follow("thorax", "nose", 0.4),
    "head": Follow("nose"),
}  # fmt: skip

_LIMBS = {
    "clavicle": Follow("thorax", "{}_shoulder", 0.15), "upperarm01": Follow("{}_shoulder"),
    "lowerarm01": Follow("{}_elbow"), "upperleg01": Follow("{}_hip"), "lowerleg01": Follow("{}_knee"),
    "foot": Follow("{}_ankle"), "wrist": Follow("{}_wrist"),
}  # fmt: skip

_LANDMARKS = {
    "pelvis": Landmark("root", "root"), "spine": Landmark("spine03", "spine04"),
    "thorax": Landmark("neck01", "spine01"), "nose": Landmark("head", "head"), "head_top": Landmark("head", "head"),
}  # fmt: skip

_LIMB_LANDMARKS = {
    "hip": Landmark("upperleg01", "pelvis"), "knee": Landmark("lowerleg01", "upperleg02"),
    "ankle": Landmark("foot", "lowerleg02"), "shoulder": Landmark("upperarm01", "clavicle"),
    "elbow": Landmark("lowerarm01", "upperarm02"), "wrist": Landmark("wrist", "lowerarm02"),
}  # fmt: skip


class AnnyModel(BodyModel):
    """Bodies of all ages and both sexes."""

    def __init__(self, about: Mapping, tensors: Mapping[str, np.ndarray]) -> None:
        self._grid = {name: np.array(values, float) for name, values in about["grid"].items()}
        self._mean, self._shares = tensors["mean"], tensors["shares"]
        self._directions = _unpacked(tensors, "directions").reshape(len(self._shares.T), -1)
        self._lengths = {
            name: {way: _unpacked(tensors, f"{name}.{way}")[0] for way in ("more", "less")} for name in about["lengths"]
        }
        self._vertices = about["vertices"]
        dials = {**_PHENOTYPES, **{name: Dial(-1, 1, 0, fitted=True) for name in self._lengths}, "scale": _SCALE}
        layout = Skeleton("anny", tuple(_with_side(bone) for bone in about["bones"]), tuple(about["parents"]))
        weights = np.zeros((self._vertices, len(layout)), np.float32)
        np.add.at(weights, (np.arange(self._vertices)[:, None], tensors["owners"]), tensors["weights"])
        follows, landmarks = dict(_TRUNK), dict(_LANDMARKS)
        for side in ("left", "right"):
            for bone, follow in _LIMBS.items():
                joint, towards = (name.format(side) for name in (follow.joint, follow.towards))
                follows[f"{side}_{bone}"] = Follow(joint, towards, follow.share)
            for joint, mark in _LIMB_LANDMARKS.items():
                landmarks[f"{side}_{joint}"] = Landmark(f"{side}_{mark.head}", f"{side}_{mark.held_by}")
        faces = tensors["faces"].astype(np.int64)
        super().__init__("anny", layout, faces, weights, dials, follows, landmarks, about["bones"])

    def rest(self, shape: Mapping[str, float]) -> RestBody:
        stand = {name: shape.get(name, dial.usual) for name, dial in self.dials.items()}
        corners = np.ones(1)
        for name, values in self._grid.items():
            hats = np.array([np.interp(stand[name], values, row) for row in np.eye(len(values))])
            corners = np.outer(corners, hats).ravel()
        points = self._mean + ((corners @ self._shares) @ self._directions).reshape(self._mean.shape)
        for name, ways in self._lengths.items():
            points = points + abs(stand[name]) * ways["more" if stand[name] >= 0 else "less"]
        points = stand["scale"] * points
        return RestBody(points[: self._vertices], points[self._vertices :])


@cache
def anny() -> AnnyModel:
    """The shipped model.

    Raises:
        VidposeError: its file is missing or damaged.
    """
    path = _FILE.checked()
    about = read_header(path)
    with opened(path, "np") as file:
        return AnnyModel(about, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (not a mapping)


def _with_side(bone: str) -> str:
    """Anny's `foot.L` as our `left_foot`."""
    name, _, letter = bone.partition(".")
    return {"": "", "L": "left_", "R": "right_"}[letter] + name


def _unpacked(tensors: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """(R, ...) float64 of 16-bit integers and a scale."""
    whole, scales = tensors[name], tensors[f"{name}.scale"]
    return whole * scales.reshape(-1, *(1,) * (whole.ndim - 1)).astype(np.float64)
