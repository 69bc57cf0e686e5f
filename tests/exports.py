"""Results to export whose truth is known, and readers of the exported files that share no code with the writers."""

from __future__ import annotations

import dataclasses
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pygltflib
from scipy.spatial.transform import Rotation

from vidpose.body.kinematics import orientations, quaternions_of
from vidpose.body.skeletons import BLAZEPOSE_33, H36M_17
from vidpose.body.tracks import PinholeCamera, PoseResult, Source, Track
from vidpose.export import FORMATS
from vidpose.keypoint_files.bvh_reader import read_bvh

FPS = 30
PARENTS = H36M_17.parents
AT = H36M_17.index

CAMERA_IN_WORLD = Rotation.from_euler("XZ", [-100, 20], degrees=True).as_matrix()
"""Turns the camera's frame (y down) into the world's (z up); the camera looks about along the world's y, a bit down."""

CAMERA_PLACE = np.array([0.4, -4.0, 1.5])


BONES = {
    "right_hip": (-0.1, -0.03, 0), "left_hip": (0.1, -0.03, 0), "spine": (0, 0.25, 0), "thorax": (0, 0.26, 0),
    "right_knee": (0, -0.42, 0), "right_ankle": (0, -0.4, 0), "left_knee": (0, -0.43, 0), "left_ankle": (0, -0.39, 0),
    "left_shoulder": (0.17, -0.04, 0), "left_elbow": (0.29, 0, 0), "left_wrist": (0.25, 0, 0),
    "right_shoulder": (-0.16, -0.05, 0), "right_elbow": (-0.28, 0, 0), "right_wrist": (-0.26, 0, 0),
    "nose": (0, 0.13, 0.06), "head_top": (0, 0.14, -0.02),
}  # fmt: skip
"""Metres from each joint's parent: a T pose, y up, that faces z, with the left to x."""


BONE_AT = (
    "pelvis", "thigh_r", "calf_r", "foot_r", "thigh_l", "calf_l", "foot_l", "spine", "chest", "head", "head_end",
    "upperarm_l", "lowerarm_l", "hand_l", "upperarm_r", "lowerarm_r", "hand_r",
)  # fmt: skip
"""The bone that begins at each joint of `H36M_17`."""


def world_joints(rows: int = 60, seed: int = 0) -> np.ndarray:
    """(rows, 17, 3) metres, z up: a body of rigid bones that walks along a line, waves, and bends its knees deep."""
    time, nowhere = np.arange(rows) / FPS, np.zeros(rows)
    swing = 30 * np.sin(5 * time + seed)
    turns = {  # degrees about z, x and y
        "pelvis": (4 * np.sin(time), 8 + swing / 5, 20 * seed + 150 * time),
        "spine": (nowhere, 10 + swing / 4, nowhere),
        "thorax": (3 * np.cos(time), swing / 6, 10 * np.sin(2 * time)), "nose": (nowhere, swing / 5, 2 * swing / 3),
        "right_hip": (-5 + nowhere, -45 + swing, 4 + nowhere), "right_knee": (nowhere, 80 + swing, nowhere),
        "left_hip": (5 + nowhere, -45 - swing, 4 + nowhere), "left_knee": (nowhere, 80 - swing, nowhere),
        "right_shoulder": (40 + swing, 10 + nowhere, swing), "right_elbow": (nowhere, nowhere, 70 + 2 * swing),
        "left_shoulder": (-70 + swing / 3, nowhere, -10 + nowhere), "left_elbow": (nowhere, nowhere, -40 - swing),
    }  # fmt: skip
    joints = np.zeros((rows, 17, 3))
    joints[:, 0] = np.stack([0.8 * time, 0.85 + 0.02 * np.sin(10 * time), 0.3 * seed - 0.3 * time], axis=1)
    turned = [Rotation.identity(rows)] * 17
    for joint, name in enumerate(H36M_17.joints):
        above = turned[PARENTS[joint]] if joint else Rotation.identity(rows)
        if joint:
            joints[:, joint] = joints[:, PARENTS[joint]] + above.apply(BONES[name])
        turned[joint] = above * Rotation.from_euler("ZXY", np.stack(turns.get(name, [nowhere] * 3), 1), degrees=True)
    return joints[..., [0, 2, 1]] * (1, -1, 1)


def track_of(world: np.ndarray, number: int = 1, first: int = 0) -> Track:
    """A track, seen from `CAMERA_PLACE`, of joints (N, 17, 3) in the world."""
    rows = len(world)
    camera = (world - CAMERA_PLACE) @ CAMERA_IN_WORLD
    frames = np.arange(first, first + rows)
    keypoints = np.random.default_rng(number).uniform(100, 400, (rows, len(BLAZEPOSE_33), 2)).astype(np.float32)
    scores = np.random.default_rng(number + 100).uniform(0.5, 1, keypoints.shape[:2]).astype(np.float32)
    boxes = np.tile(np.array([90, 80, 410, 420], np.float32), (rows, 1))
    track = Track.of_keypoints(number, frames, frames / FPS, boxes, keypoints, scores)
    return dataclasses.replace(
        track, joints=(camera - camera[:, :1]).astype(np.float32), joint_scores=np.ones((rows, 17), np.float32),
        roots=camera[:, 0].astype(np.float32),
    )  # fmt: skip


def turned(track: Track) -> Track:
    """The track with the rotations that its joints have."""
    return dataclasses.replace(track, rotations=quaternions_of(orientations(track.joints, H36M_17)).astype(np.float32))


def result_of(*tracks: Track, place: str = "world", times: np.ndarray | None = None) -> PoseResult:
    """A result whose people stand in the world, in the camera's frame, or nowhere that is known."""
    if times is None:
        times = np.arange(max((track.frames[-1] + 1 for track in tracks), default=5)) / FPS
    source = Source("Straße 走.mp4", 640, 480, times, Fraction(FPS))
    to_world = np.concatenate([CAMERA_IN_WORLD, CAMERA_PLACE[:, None]], axis=1)
    camera = PinholeCamera((500.0, 500.0), (320.0, 240.0), to_world if place == "world" else None)
    if place == "root":
        tracks = tuple(dataclasses.replace(t, roots=np.full_like(t.roots, np.nan)) for t in tracks)
        camera = None
    tracks = tuple(dataclasses.replace(track, times=times[track.frames]) for track in tracks)
    return PoseResult(source, tracks, BLAZEPOSE_33.name, H36M_17.name, {"vidpose": "0"}, camera)


def expected(world: np.ndarray, place: str, floor: bool = True) -> np.ndarray:
    """(N, 17, 3) y up, of joints in the world: put together axis by axis; if there is no world, on the feet."""
    if place == "world":
        x, y, z = np.moveaxis(world, -1, 0)
        return np.stack([x, z, -y], axis=-1)
    x, y, z = np.moveaxis((world - CAMERA_PLACE) @ CAMERA_IN_WORLD, -1, 0)
    seen = np.stack([x, -y, -z], axis=-1)
    seen = seen if place == "camera" else seen - seen[:, :1]
    if not floor:
        return seen
    # A tenth of the frames may be below; a standing ankle is 8 cm high.
    return seen - (0, np.percentile(seen[..., 1].min(axis=1), 10) - 0.08, 0)


def read_trc(path: Path) -> tuple[dict[str, str], np.ndarray, np.ndarray]:
    """The header, (N,) times and (N, markers, 3) positions in metres, by OpenSim's description of the format."""
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n")]
    header = dict(zip(lines[1], lines[2], strict=True)) | {"name": lines[0][3], "markers": lines[3][2::3]}
    assert lines[4][2:5] == ["X1", "Y1", "Z1"]
    assert lines[5] == [""]
    assert lines[-1] == [""]
    width = 2 + 3 * int(header["NumMarkers"])
    # OpenSim takes an empty cell at the end for none, unless a tab follows it.
    assert all(len(line) == width + (not line[width - 1]) for line in lines[6:-1])
    rows = np.array([[float(cell or "nan") for cell in line[:width]] for line in lines[6:-1]])
    assert len(rows) == int(header["NumFrames"])
    scale = {"m": 1.0, "mm": 1e-3}[header["Units"]]
    return header, rows[:, 1], rows[:, 2:].reshape(len(rows), int(header["NumMarkers"]), 3) * scale


def read_mot(path: Path) -> dict[str, np.ndarray]:
    """Columns by name, in degrees and metres, by OpenSim's description of the format."""
    header, _, body = path.read_text(encoding="utf-8").partition("endheader\n")
    facts = dict(line.split("=") for line in header.splitlines() if "=" in line)
    assert facts["inDegrees"] == "yes"
    names, *rows = (line.split("\t") for line in body.splitlines())
    assert (len(rows), len(names)) == (int(facts["nRows"]), int(facts["nColumns"]))
    return dict(zip(names, np.array(rows, float).T, strict=True))


def read_c3d(path: Path) -> tuple[object, np.ndarray, np.ndarray]:
    """The reader of the package `c3d`, (N, points, 3) positions as they are stored, and (N, points) residuals."""
    import c3d

    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No analog data")
        reader = c3d.Reader(file)
        points = np.stack([points for _, points, _ in reader.read_frames()])
    return reader, points[..., :3], points[..., 3]


def bvh_joints(path: Path) -> np.ndarray:
    """(N, 17, 3) joints of `H36M_17`, by forward kinematics in the order of the file's channels."""
    animation, _ = read_bvh(path)
    ends = {f"{BONE_AT[parent]} end": joint for joint, parent in enumerate(PARENTS)}
    order = [ends[name] if name in ends else BONE_AT.index(name) for name in animation.names]
    return animation.positions[:, np.argsort(order)]


def gltf_joints(path: Path, person: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(K,) times and (K, 17, 3) joints of `H36M_17`, as `gltf_bones` has them."""
    times, places = gltf_bones(path, person)
    return times, np.stack([places[name] for name in BONE_AT], axis=1)


def gltf_bones(path: Path, person: int = 1) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(K,) times and (K, 3) where each bone begins, by forward kinematics over the nodes as glTF 2.0 has them."""
    file = pygltflib.GLTF2().load(str(path))
    owner = next(node for node in file.nodes if node.name == f"person {person}")
    times, moved = None, {}
    for channel in file.animations[0].channels:
        sampler = file.animations[0].samplers[channel.sampler]
        moved[channel.target.node, channel.target.path] = gltf_numbers(file, sampler.output)
        if channel.target.node == owner.children[0]:
            times = gltf_numbers(file, sampler.input)[:, 0]
    places: dict[str, np.ndarray] = {}

    def visit(number: int, place: np.ndarray, turn: Rotation) -> None:
        node = file.nodes[number]
        shift = moved.get((number, "translation"), np.array([node.translation]))
        place = place + turn.apply(np.zeros_like(place) + shift)
        places[node.name] = place
        turn = turn * Rotation.from_quat(moved.get((number, "rotation"), np.array([node.rotation])))
        for child in node.children or ():
            visit(child, place, turn)

    visit(owner.children[0], np.zeros((len(times), 3)), Rotation.identity(len(times)))
    return times, places


def gltf_numbers(file: pygltflib.GLTF2, index: int) -> np.ndarray:
    """(count, components) of an accessor."""
    accessor = file.accessors[index]
    view = file.bufferViews[accessor.bufferView]
    kind = {5126: "<f4", 5121: "u1", 5123: "<u2"}[accessor.componentType]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor.type]
    data = file.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    return np.frombuffer(data, kind).reshape(accessor.count, width)


def write(result: PoseResult, name: str, folder: Path) -> Path:
    (path,) = FORMATS[name].write(result, folder / "Straße 走.v2", heading=0)
    return path


def joints_of(path: Path, name: str) -> np.ndarray:
    """(N, 17, 3) metres, y up, of any format that has joints."""
    if name == "trc":
        return read_trc(path)[2]
    if name == "c3d":
        x, y, z = np.moveaxis(read_c3d(path)[1] / 1000, -1, 0)
        return np.stack([x, z, -y], axis=-1)
    return bvh_joints(path) if name == "bvh" else gltf_joints(path)[1]
