"""Skeletons that move, as joints in 3D: the BVH and the binary glTF that `vidpose export` writes.

Their sources are named in `vidpose.export.bvh` and `vidpose.export.gltf`. Both have Y up and metres. A joint is where
its bones have brought it: forward kinematics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from vidpose.body.bone_names import joints_of_bones
from vidpose.body.geometry import Z_UP_TO_Y_UP
from vidpose.body.skeletons import H36M_17
from vidpose.body.stretches import jumps
from vidpose.common.inputs import read_bytes, reading, strict_json
from vidpose.keypoint_files.bvh_reader import read_bvh
from vidpose.keypoint_files.keypoint_table import MAX_FRAMES, KeypointTable
from vidpose.keypoint_files.markers import as_h36m, check_heights, points_table, rate_of

_HELD = 0.01 + 1e-3
"""Seconds, at most, between a keyframe that only holds a pose and the next (`vidpose.export.rigid_figure`)."""

_STILL = 1e-5
"""Metres that float32 may move a joint that is held."""


def read_bvh_joints(path: Path) -> KeypointTable:
    """One person's joints.

    Raises:
        VidposeError: it is no BVH, or its joints are no body's; says which.
    """
    with reading(path, "a BVH of a body"):
        animation, fps = read_bvh(path)
        rate = rate_of(fps)
        names = joints_of_bones(animation.names, H36M_17)
        return points_table(names, animation.positions @ Z_UP_TO_Y_UP, rate, None)


def read_gltf(path: Path) -> KeypointTable:
    """Everybody's joints: a skin is a person. Frames are the keyframes of all.

    Raises:
        VidposeError: it is no binary glTF, or has no body that moves; says which.
    """
    with reading(path, "a binary glTF of bodies that move"):
        scene = _GltfScene.parse(read_bytes(path))
        people = [scene.person(skin) for skin in scene.content.get("skins", ())]
        if not people:
            raise ValueError("no skin in it, which is how a glTF has a skeleton")
        moments = np.unique(np.concatenate([times for _, times, _ in people]))
        if len(moments) > MAX_FRAMES or not np.isfinite(moments).all():
            raise ValueError(f"{len(moments)} keyframes")
        ids, frames, joints, scores = [], [], [], []
        for number, (name, times, points) in enumerate(people, start=1):
            kept = ~_only_held(times, points)
            own_joints, own_scores, layout = as_h36m(name, points[kept])
            joints.append(own_joints)
            scores.append(own_scores)
            frames.append(np.searchsorted(moments, times[kept]))
            ids.append(np.full(len(own_joints), number))
        used, renumbered = np.unique(np.concatenate(frames), return_inverse=True)
        whole = np.concatenate(joints)
        check_heights(whole)
        return KeypointTable(
            layout, renumbered, np.concatenate(ids), whole, np.concatenate(scores),
            num_frames=len(used), times=moments[used], by_time=True,
        )  # fmt: skip


def _only_held(times: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(K,) which keyframes stand for no frame: they end a pause as the frame before it was."""
    held = np.zeros(len(times), bool)
    for row in np.flatnonzero(jumps(times)) + 1:
        near = row + 1 < len(times) and times[row + 1] - times[row] <= _HELD
        held[row] = near and np.abs(points[row] - points[row - 1]).max() <= _STILL
    return held


@dataclass
class _GltfScene:
    """A binary glTF: its JSON, its numbers, and what moves its nodes.

    Attributes:
        parents: of each node, -1 where it has none.
        channels: (node, "translation", "rotation" or "scale") -> keyframes' times, values, and the interpolation.
    """

    content: Mapping[str, Any]
    data: bytes
    parents: list[int]
    channels: dict[tuple[int, str], tuple[np.ndarray, np.ndarray, str]]

    @staticmethod
    def parse(blob: bytes) -> _GltfScene:
        """The file's parts, those that are needed checked.

        Raises:
            ValueError, KeyError, IndexError, TypeError: it is damaged, or of a kind that is not read.
        """
        if blob[:4] != b"glTF" or int.from_bytes(blob[4:8], "little") != 2:
            raise ValueError("it does not begin as one of version 2")
        length = int.from_bytes(blob[12:16], "little")
        content = strict_json(blob[20 : 20 + length])
        parents = [-1] * len(content["nodes"])
        for number, node in enumerate(content["nodes"]):
            for child in node.get("children", ()):
                if parents[child] >= 0:
                    raise ValueError(f"node {child} has two parents")
                parents[child] = number
        scene = _GltfScene(content, blob[28 + length :], parents, {})
        for animation in content.get("animations", ())[:1]:
            for channel in animation["channels"]:
                sampler, target = animation["samplers"][channel["sampler"]], channel["target"]
                if "node" in target:
                    times, values = scene._numbers(sampler["input"])[:, 0], scene._numbers(sampler["output"])
                    way = sampler.get("interpolation", "LINEAR")
                    if way not in ("LINEAR", "STEP") or len(values) != len(times) or not (np.diff(times) > 0).all():
                        raise ValueError(f"a movement of {len(times)} times and {len(values)} values, {way}")
                    scene.channels[target["node"], target["path"]] = (times, values, way)
        return scene

    def _numbers(self, index: int) -> np.ndarray:
        """(count, components) float64 of an accessor."""
        accessor = self.content["accessors"][index]
        view = self.content["bufferViews"][accessor["bufferView"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        if accessor["componentType"] != 5126 or "sparse" in accessor or view.get("byteStride", 4 * width) != 4 * width:
            raise ValueError("numbers that are not float32 in a row")
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        values = np.frombuffer(self.data, "<f4", accessor["count"] * width, start).reshape(-1, width)
        if not len(values) or not np.isfinite(values).all():
            raise ValueError("numbers that are not finite, or none")
        return values.astype(np.float64)

    def person(self, skin: Mapping[str, Any]) -> tuple[Sequence[str], np.ndarray, np.ndarray]:
        """Names of a skin's J joints, (K,) times of its keyframes, and (K, J, 3) points, Z up."""
        chains = {joint: self._chain(joint) for joint in skin["joints"]}
        moving = {node for chain in chains.values() for node in chain}
        times = [keys for (node, _), (keys, _, _) in self.channels.items() if node in moving]
        if not times:
            raise ValueError("a skeleton that does not move")
        moments = np.unique(np.concatenate(times))
        placed: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for chain in chains.values():
            for node in chain:
                if node not in placed:
                    placed[node] = self._placed(node, moments, placed.get(self.parents[node]))
        points = np.stack([placed[joint][1] for joint in skin["joints"]], axis=1) @ Z_UP_TO_Y_UP
        names = [str(self.content["nodes"][joint].get("name", joint)) for joint in skin["joints"]]
        return joints_of_bones(names, H36M_17), moments, points

    def _chain(self, node: int) -> list[int]:
        """From the top of the scene down to a node."""
        chain = [node]
        while (parent := self.parents[chain[-1]]) >= 0:
            chain.append(parent)
            if len(chain) > len(self.parents):
                raise ValueError("nodes in a circle")
        return chain[::-1]

    def _placed(
        self, node: int, moments: np.ndarray, above: tuple[np.ndarray, np.ndarray] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """How a node is turned and scaled, (K, 3, 3), and where it is, (K, 3)."""
        facts = self.content["nodes"][node]
        if "matrix" in facts:
            matrix = np.array(facts["matrix"], np.float64).reshape(4, 4).T
            turned, shift = np.tile(matrix[:3, :3], (len(moments), 1, 1)), np.tile(matrix[:3, 3], (len(moments), 1))
        else:
            shift, scale = self._curve(node, "translation", moments), self._curve(node, "scale", moments)
            turned = self._turns(node, moments) * scale[:, None]
        if above is None:
            return turned, shift
        return above[0] @ turned, above[1] + (above[0] @ shift[..., None])[..., 0]

    def _curve(self, node: int, path: str, moments: np.ndarray) -> np.ndarray:
        """(K, 3) a translation or a scale."""
        if (node, path) not in self.channels:
            still = self.content["nodes"][node].get(path, [0, 0, 0] if path == "translation" else [1, 1, 1])
            return np.tile(np.array(still, np.float64).reshape(3), (len(moments), 1))
        times, values, way = self.channels[node, path]
        if way == "STEP":
            return values[(np.searchsorted(times, moments, side="right") - 1).clip(0)]
        return np.stack([np.interp(moments, times, axis) for axis in values.reshape(-1, 3).T], axis=1)

    def _turns(self, node: int, moments: np.ndarray) -> np.ndarray:
        """(K, 3, 3) a rotation."""
        if (node, "rotation") not in self.channels:
            still = Rotation.from_quat(np.array(self.content["nodes"][node].get("rotation", [0, 0, 0, 1]), np.float64))
            return np.tile(still.as_matrix(), (len(moments), 1, 1))
        times, values, way = self.channels[node, "rotation"]
        keys = Rotation.from_quat(values)
        if way == "STEP" or len(times) == 1:
            return keys[(np.searchsorted(times, moments, side="right") - 1).clip(0)].as_matrix()
        return Slerp(times, keys)(moments.clip(times[0], times[-1])).as_matrix()
