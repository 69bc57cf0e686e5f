"""Binary glTF (`.glb`): everybody's skeleton in one animated scene, for Blender, Unity, Godot and the browser.

Khronos, "glTF 2.0 Specification". Y is up, metres, seconds. Each person is a skin of simple bones, orange on the right
and blue on the left as in the overlay, in a T pose that faces +z at rest. A bone's own y runs along it, as Blender has
it, and its z to the front. Keyframes are the video's own frames at their own times; through a short gap the viewer
turns bones evenly, through a longer one they are still.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body.bone_names import BONE_NAMES, bone_names
from vidpose.body.kinematics import quaternions_of, relative
from vidpose.body.pieces import pieces
from vidpose.body.tracks import PoseResult, Source
from vidpose.common.files import replacing
from vidpose.export.placing import place_of, placed_people
from vidpose.export.rigid_figure import Figure

_COLOURS = {"left": (0.05, 0.35, 1.0), "right": (1.0, 0.23, 0.03), "centre": (0.78, 0.81, 0.86)}
"""Linear RGB."""

_FLOAT, _BYTE, _SHORT = 5126, 5121, 5123
_TYPES = {_FLOAT: "<f4", _BYTE: "<u1", _SHORT: "<u2"}
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963

_BONE = np.array([[0, 0, 0], [0.15, 0.07, 0], [0.15, 0, 0.07], [0.15, -0.07, 0], [0.15, 0, -0.07], [1, 0, 0]])
"""Corners of an octahedron along x."""

_FACES = np.array([[0, 2, 1], [0, 3, 2], [0, 4, 3], [0, 1, 4], [5, 1, 2], [5, 2, 3], [5, 3, 4], [5, 4, 1]])


def write_gltf(result: PoseResult, path: Path, bones: str = BONE_NAMES[0]) -> None:
    """Write everybody who stands in one space.

    Args:
        bones: how bones are called (`vidpose.body.bone_names`).

    Raises:
        UsageError: no such names, or no rest pose is known for the result's layout.
        VidposeError: the file cannot be written.
    """
    scene = GltfScene(late_start(result.source))
    for track in placed_people(result):
        figure = Figure.of(result, track).held()
        scene.add(f"person {track.id}", figure, bone_names(bones, figure.layout))
    scene.write(result, path)


def _glb(content: dict[str, Any], numbers: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The container, in pieces: a header, a chunk of JSON, a chunk of so many bytes of numbers; fours of bytes each."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    length = 12 + 8 + len(text) + 8 + size
    yield struct.pack("<4sII", b"glTF", 2, length) + struct.pack("<I4s", len(text), b"JSON")
    yield from (text, struct.pack("<I4s", size, b"BIN\0"))
    yield from numbers


@dataclass(frozen=True)
class Skin:
    """A mesh for a figure's bones to carry, in its rest pose with the root joint at the origin.

    Attributes:
        vertices, normals: (V, 3) metres, and unit vectors out of the mesh.
        faces: (F, 3) whole numbers below 65,536.
        weights: (V, J) shares of the joints in each vertex; glTF takes the four largest.
        colour: linear RGB.
    """

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    colour: tuple[float, float, float]


@dataclass
class GltfScene:
    """What is gathered while people are added: the lists of the JSON, and the numbers they point into.

    Attributes:
        start: seconds of the video's clock that are 0 in the file (`late_start`).
        numbers: bytes in order, those of people's turns not computed before they are written.
        size: how many bytes that is.
    """

    start: float = 0.0
    numbers: list[Iterable[bytes]] = field(default_factory=list)
    size: int = 0
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)
    meshes: list[dict[str, Any]] = field(default_factory=list)
    skins: list[dict[str, Any]] = field(default_factory=list)
    channels: list[dict[str, Any]] = field(default_factory=list)
    samplers: list[dict[str, Any]] = field(default_factory=list)
    materials: list[dict[str, Any]] = field(default_factory=list)

    def write(self, result: PoseResult, path: Path) -> None:
        """Write the file.

        Raises:
            VidposeError: it cannot be written.
        """
        content = self.as_json(str(result.provenance.get("vidpose")), place_of(result).value)
        with replacing(path) as partial, open(partial, "wb") as file:
            file.writelines(_glb(content, chain.from_iterable(self.numbers), self.size))

    def add(self, name: str, figure: Figure, titles: Sequence[str], skin: Skin | None = None) -> None:
        """Add somebody in motion, each bone a simple one unless there is a skin.

        Args:
            titles: what the bones are called, which begin at the figure's joints.
        """
        layout, first = figure.layout, len(self.nodes) + 1
        axes = _axes(figure)
        root = layout.parents.index(-1)
        joints = range(first, first + len(layout))
        self.roots += [first - 1, first + len(layout)]
        self.nodes.append({"name": name, "children": [joints[root]]})
        turns = quaternions_of(relative(axes[None], layout))[0]
        for joint, title in enumerate(titles):
            offset = figure.roots[0] if joint == root else figure.offsets[joint] @ axes[layout.parents[joint]]
            node = {"name": title, "translation": offset.tolist(), "rotation": np.roll(turns[joint], -1).tolist()}
            children = [joints[child] for child, parent in enumerate(layout.parents) if parent == joint]
            self.nodes.append(node | ({"children": children} if children else {}))
        self.nodes.append({"name": f"{name} bones", "mesh": len(self.meshes), "skin": len(self.skins)})
        rest = _rest(figure)
        self.meshes.append({"name": name, "primitives": self._skin(name, skin) if skin else self._bones(figure, rest)})
        binds = np.tile(np.eye(4), (len(layout), 1, 1))
        binds[:, :3, :3] = axes  # glTF stores columns first, which turns the opposite rotation over once more
        binds[:, 3, :3] = -np.einsum("jd,jde->je", rest, axes)
        inverse_binds = self._numbers(binds, "MAT4", _FLOAT)
        self.skins.append({"joints": list(joints), "skeleton": joints[root], "inverseBindMatrices": inverse_binds})
        # What nothing leaves goes with the bone that it ends, unless a mesh hangs on it.
        turning = range(len(layout)) if skin else sorted({*layout.parents} - {-1})
        self._animate(figure, axes, joints, root, turning)

    def _animate(self, figure: Figure, axes: np.ndarray, joints: range, root: int, turning: Sequence[int]) -> None:
        times = self._numbers(figure.times - self.start, "SCALAR", _FLOAT, bounds=True)
        self._channel(times, joints[root], "translation", self._numbers(figure.roots, "VEC3", _FLOAT))
        for joint in turning:
            self._channel(times, joints[joint], "rotation", self._accessor(len(figure.times), "VEC4", _FLOAT))
        self.numbers.append(_quaternions(figure, axes, turning))

    def _channel(self, times: int, node: int, path: str, values: int) -> None:
        self.channels.append({"sampler": len(self.samplers), "target": {"node": node, "path": path}})
        self.samplers.append({"input": times, "output": values, "interpolation": "LINEAR"})

    def _bones(self, figure: Figure, rest: np.ndarray) -> list[dict[str, Any]]:
        """A primitive for each side, whose bones follow the joint that they leave."""
        primitives = []
        for side, colour in _COLOURS.items():
            bones = [bone for bone in figure.layout.bones if _side(figure.layout.joints[bone[1]]) == side]
            if not bones:
                continue
            corners = np.concatenate([_bone(rest[start], rest[end]) for start, end in bones])
            faces = np.concatenate([_FACES + len(_BONE) * number for number in range(len(bones))])
            owners = np.zeros((len(corners), 4), np.uint8)
            owners[:, 0] = np.repeat([start for start, _ in bones], len(_BONE))
            weights = np.tile(np.array([1, 0, 0, 0], np.float32), (len(corners), 1))
            primitives.append(self._primitive(corners, faces, owners, weights, self._material(side, colour)))
        return primitives

    def _skin(self, name: str, skin: Skin) -> list[dict[str, Any]]:
        owners = np.argsort(-skin.weights, axis=1)[:, :4]
        weights = np.take_along_axis(skin.weights, owners, axis=1).astype(np.float64)
        weights /= weights.sum(axis=1, keepdims=True)
        owners = np.where(weights > 0, owners, 0)
        material = self._material(name, skin.colour)
        primitive = self._primitive(skin.vertices, skin.faces, owners, weights, material)
        primitive["attributes"]["NORMAL"] = self._numbers(skin.normals, "VEC3", _FLOAT, _ARRAY_BUFFER)
        return [primitive]

    def _primitive(
        self, corners: np.ndarray, faces: np.ndarray, owners: np.ndarray, weights: np.ndarray, material: int
    ) -> dict[str, Any]:
        return {
            "attributes": {
                "POSITION": self._numbers(corners, "VEC3", _FLOAT, _ARRAY_BUFFER, bounds=True),
                "JOINTS_0": self._numbers(owners, "VEC4", _BYTE, _ARRAY_BUFFER),
                "WEIGHTS_0": self._numbers(weights, "VEC4", _FLOAT, _ARRAY_BUFFER),
            },
            "indices": self._numbers(faces.ravel(), "SCALAR", _SHORT, _ELEMENT_BUFFER), "material": material,
        }  # fmt: skip

    def _material(self, name: str, colour: Sequence[float]) -> int:
        """The index of a material, which is added unless there is one of that name."""
        names = [material["name"] for material in self.materials]
        if name not in names:
            surface = {"baseColorFactor": [*colour, 1], "metallicFactor": 0}
            self.materials.append({"name": name, "pbrMetallicRoughness": surface})
            return len(names)
        return names.index(name)

    def _numbers(
        self, values: np.ndarray, kind: str, component: int, target: int | None = None, bounds: bool = False
    ) -> int:
        """The index of a new accessor."""
        values = values.astype(_TYPES[component])
        packed = values.tobytes()
        self.numbers.append((packed, bytes(-len(packed) % 4)))
        accessor = self._accessor(len(values), kind, component, target)
        if bounds:
            self.accessors[accessor] |= {"min": np.atleast_1d(values.min(axis=0)).tolist()}
            self.accessors[accessor] |= {"max": np.atleast_1d(values.max(axis=0)).tolist()}
        return accessor

    def _accessor(self, count: int, kind: str, component: int, target: int | None = None) -> int:
        """The index of a new one, for so many numbers, which come to `numbers` in the order of these."""
        length = count * _WIDTHS[kind] * np.dtype(_TYPES[component]).itemsize
        view = {"buffer": 0, "byteOffset": self.size, "byteLength": length}
        self.size += length + -length % 4
        self.views.append(view | ({"target": target} if target else {}))
        self.accessors.append(
            {"bufferView": len(self.views) - 1, "componentType": component, "count": count, "type": kind}
        )
        return len(self.accessors) - 1

    def as_json(self, version: str, positions: str) -> dict[str, Any]:
        extras = {"positions": positions} | ({"start_seconds": self.start} if self.start else {})
        return {
            "asset": {"version": "2.0", "generator": f"vidpose {version}", "extras": extras},
            "scene": 0, "scenes": [{"nodes": self.roots}], "nodes": self.nodes, "meshes": self.meshes,
            "materials": self.materials, "skins": self.skins,
            "animations": [{"name": "motion", "channels": self.channels, "samplers": self.samplers}],
            "accessors": self.accessors, "bufferViews": self.views, "buffers": [{"byteLength": self.size}],
        }  # fmt: skip


def late_start(source: Source) -> float:
    """Seconds to take off a clock that began days before its first frame: float32, which glTF has, tells no more apart.

    Recordings may be stamped with the time of the day, or since 1970.
    """
    times = source.times.astype(np.float32)
    return float(source.times[0]) if (np.diff(times) <= 0).any() else 0.0


def _quaternions(figure: Figure, axes: np.ndarray, turning: Sequence[int]) -> Iterator[bytes]:
    """(K, 4) float32 of one joint after the other, the real part last: of its `axes` against its parent's."""
    quaternions = np.empty((len(turning), len(figure.times), 4), "<f4")
    before = None
    for rows in pieces(len(figure.times)):
        turns = relative(figure.turns[rows] @ axes, figure.layout, turning)
        some = quaternions_of(turns, before)
        quaternions[:, rows], before = np.roll(some, -1, axis=-1).swapaxes(0, 1), some[-1]
    for joint in quaternions:
        yield joint.tobytes()


def _rest(figure: Figure) -> np.ndarray:
    """(J, 3) joints of the rest pose, the root at the origin."""
    rest = np.full_like(figure.offsets, np.nan)
    rest[figure.layout.parents.index(-1)] = 0
    while np.isnan(rest).any():
        for joint, parent in enumerate(figure.layout.parents):
            if parent >= 0:
                rest[joint] = rest[parent] + figure.offsets[joint]
    return rest


def _axes(figure: Figure) -> np.ndarray:
    """(J, 3, 3) the rest pose's own axes of each bone, in columns: y along it, z as far to the front as that allows.

    Where several bones leave a joint, y is along the one in the middle of the body. What nothing leaves goes on as the
    bone that it ends.
    """
    layout = figure.layout
    along = figure.offsets.copy()
    for joint, title in enumerate(layout.joints):
        children = [child for child, parent in enumerate(layout.parents) if parent == joint]
        middle = [child for child in children if _side(layout.joints[child]) == _side(title)] or children
        if middle:
            along[joint] = figure.offsets[middle[0]]
    lengths = np.linalg.norm(along, axis=-1, keepdims=True)
    y = np.where(lengths > 1e-9, along / np.maximum(lengths, 1e-9), (0.0, 1, 0))  # a bone without a length points up
    z = np.array([0.0, 0, 1]) - y * y[:, 2:]
    z = np.where(np.linalg.norm(z, axis=-1, keepdims=True) > 1e-6, z, (0.0, -1, 0))  # one to the front has none there
    z /= np.linalg.norm(z, axis=-1, keepdims=True)
    return np.stack([np.cross(y, z), y, z], axis=-1)


def _bone(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(6, 3) corners of the octahedron from one joint to another."""
    along = end - start
    aside = np.cross(along, np.eye(3)[np.abs(along).argmin()])
    aside *= np.linalg.norm(along) / max(float(np.linalg.norm(aside)), 1e-9)
    third = np.cross(along, aside) / max(np.linalg.norm(along), 1e-9)
    return start + _BONE @ np.stack([along, aside, third])


def _side(joint: str) -> str:
    return joint.split("_")[0] if joint.startswith(("left_", "right_")) else "centre"
