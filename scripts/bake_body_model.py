"""Make weights/anny.safetensors, the body that `vidpose mesh` fits, and what its tests compare it with.

Run it where `anny==0.6.2` and `warp-lang` are installed, in an environment of their own:

    python scripts/bake_body_model.py weights/anny.safetensors tests/data/body_model.npz

Anny (NAVER Corp., Apache-2.0) is made of MakeHuman's assets (CC0). It is linear in products of hat functions of its
phenotypes, so its bodies at the corners of their grid say all about it. Those corners are written as a mean and as
many directions as keep every vertex within `_WITHIN`, in 16 bits.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import anny
import numpy as np
import torch
from safetensors.numpy import save
from scipy.spatial.transform import Rotation

TOPOLOGY, RIG = "notoes_collapse10pc", "anny-noeyes-notoes-nohands"

GRID: Mapping[str, tuple[float, ...]] = {
    "age": (0, 1 / 3, 2 / 3, 1), "gender": (0, 1), "muscle": (0, 0.5, 1), "weight": (0, 0.5, 1), "height": (0, 1),
    "proportions": (0, 1),
}  # fmt: skip

YEARS = (1, 10, 25, 90)
"""What MakeHuman means by the ages of the grid."""

LENGTHS = {
    "thighs": "upperlegs-height-incr", "shanks": "lowerlegs-height-incr", "upperarms": "measure-upperarm-length-incr",
    "forearms": "measure-lowerarm-length-incr", "shoulders": "torso-scale-horiz-incr", "hips": "hip-scale-horiz-incr",
    "torso": "torso-scale-vert-incr", "neck": "measure-neck-height-incr",
}  # fmt: skip
"""Our dials of single parts, and Anny's local changes."""

_WITHIN = 1e-4
"""Metres."""

_TO_OURS = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""From Anny's axes, z up and facing -y, to x left, y up, facing z."""


def main(out: str, golden: str) -> None:
    torch.set_num_threads(1)
    model = anny.Anny(
        rig=RIG, topology=TOPOLOGY, local_changes=list(LENGTHS.values()), phenotypes="all",
        phenotype_blendshapes="original", skinning_method="lbs",
    ).double()  # fmt: skip
    corners = np.stack([
        rest(model, dict(zip(GRID, corner, strict=True))) for corner in itertools.product(*GRID.values())
    ])  # fmt: skip
    tensors = bodies(corners)
    usual = rest(model, {})
    for name, label in LENGTHS.items():
        for sign, way in ((1, "more"), (-1, "less")):
            tensors |= in_shorts(f"{name}.{way}", (rest(model, {}, {label: float(sign)}) - usual)[None])
    most = model.vertex_bone_weights.shape[1]
    tensors |= {
        "faces": model.faces.numpy().astype(np.uint16),
        "owners": model.vertex_bone_indices.numpy().astype(np.uint8),
        "weights": model.vertex_bone_weights.numpy().astype(np.float32),
    }
    about = {
        "format": "vidpose-body", "format_version": 1, "arch": "anny", "vertices": len(model.template_vertices),
        "bones": model.bone_labels, "parents": model.bone_parents, "grid": {**GRID, "age": YEARS},
        "lengths": list(LENGTHS), "source": "anny 0.6.2 (PyPI), its assets from MakeHuman",
        "licence": "CC0-1.0", "topology": TOPOLOGY, "rig": RIG,
    }  # fmt: skip
    # Not by save_file, which makes files that only their owner may read.
    Path(out).write_bytes(save(tensors, metadata={"vidpose": json.dumps(about)}))
    print(f"{out}: {len(tensors['directions'])} directions, {most} bones a vertex")
    write_golden(model, golden)


def rest(model: anny.Anny, phenotypes: Mapping[str, float], changes: Mapping[str, float] | None = None) -> np.ndarray:
    """(V + B, 3) vertices and heads of bones in our axes; what is not named stands at one half."""
    ours = {"age": 2 / 3, **phenotypes}
    with torch.no_grad():
        made = model(phenotype_kwargs=ours, local_changes_kwargs=dict(changes or {}))
    points = torch.cat([made["rest_vertices"][0], made["rest_bone_heads"][0]])
    return points.numpy() @ _TO_OURS.T


def bodies(corners: np.ndarray) -> dict[str, np.ndarray]:
    """(C, V + B, 3) bodies as a mean, directions, and how much of each direction is in each."""
    flat = corners.reshape(len(corners), -1)
    mean = flat.mean(axis=0)
    left, sizes, right = np.linalg.svd(flat - mean, full_matrices=False)
    for rank in range(1, len(sizes) + 1):
        missing = flat - mean - (left[:, :rank] * sizes[:rank]) @ right[:rank]
        if np.linalg.norm(missing.reshape(corners.shape), axis=-1).max() < _WITHIN:
            break
    return {
        "mean": mean.reshape(corners.shape[1:]).astype(np.float32),
        "shares": (left[:, :rank] * sizes[:rank]).astype(np.float32),
    } | in_shorts("directions", right[:rank].reshape(rank, *corners.shape[1:]))


def in_shorts(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """(R, ...) numbers as 16-bit integers and a (R,) scale."""
    scales = np.abs(values).reshape(len(values), -1).max(axis=1) / 32767
    whole = np.rint(values / scales.reshape(-1, *(1,) * (values.ndim - 1))).astype(np.int16)
    return {name: whole, f"{name}.scale": scales.astype(np.float32)}


def write_golden(model: anny.Anny, path: str) -> None:
    """Anny's own vertices and heads of some bodies in some poses."""
    generator = np.random.default_rng(20)
    names, bones, years = [*GRID, *LENGTHS], len(model.bone_labels), GRID["age"]
    shapes, turns, vertices, heads = [], [], [], []
    for _ in range(6):
        values = generator.uniform(0, 1, len(GRID)).tolist() + generator.uniform(-1, 1, len(LENGTHS)).tolist()
        phenotypes = dict(zip(GRID, values, strict=False))
        changes = dict(zip(LENGTHS.values(), values[len(GRID) :], strict=True))
        turned = Rotation.from_rotvec(generator.normal(0, 0.7, (bones, 3))).as_matrix()
        pose = torch.eye(4, dtype=torch.float64).repeat(1, bones, 1, 1)
        with torch.no_grad():
            still = model(phenotype_kwargs=phenotypes, local_changes_kwargs=changes)
            theirs = _TO_OURS.T @ turned @ _TO_OURS
            pose[0, :, :3, :3] = torch.from_numpy(theirs) @ still["rest_bone_poses"][0, :, :3, :3]
            moved = model(pose, phenotypes, changes, pose_parameterization="world-orient")
        shapes.append([float(np.interp(values[0], years, YEARS)), *values[1:]])
        turns.append(turned)
        vertices.append((moved["vertices"][0].numpy() @ _TO_OURS.T)[::9])
        heads.append(moved["bone_poses"][0, :, :3, 3].numpy() @ _TO_OURS.T)
    np.savez_compressed(
        path, names=np.array(names), shapes=np.array(shapes), turns=np.array(turns, np.float32),
        vertices=np.array(vertices, np.float32), heads=np.array(heads, np.float32),
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
