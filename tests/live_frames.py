"""Frames of a live run, made by hand, and what a program that receives them makes of avatars' bones."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.live.newest import Captured
from vidpose.live.outlet import LiveFrame
from vidpose.video import VideoFrame

Messages = list[tuple[str, tuple[Any, ...]]]
"""Addresses and arguments, as OSC has them."""

PICTURE = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)


def nobody() -> PoseResult:
    return PoseResult(Source("walk", 640, 480, np.zeros(1), None, pictures=False), (), H36M_17.name, H36M_17.name)


def frame_of(result: PoseResult, number: int = 0, *, floor: float = 0.0, dropped: int = 0) -> LiveFrame:
    """A frame that comes now, a second after the one before."""
    return LiveFrame(Captured(VideoFrame(number, float(number), PICTURE), time.monotonic(), dropped), result, floor)


def t_pose(distance: float = 3.0) -> Track:
    """Somebody 3 m away who faces the camera, arms out to the sides."""
    places = {
        "pelvis": (0, 0, 0), "right_hip": (-0.13, 0, 0), "right_knee": (-0.13, 0.45, 0), "right_ankle": (-0.13, 0.9, 0),
        "left_hip": (0.13, 0, 0), "left_knee": (0.13, 0.45, 0), "left_ankle": (0.13, 0.9, 0), "spine": (0, -0.25, 0),
        "thorax": (0, -0.5, 0), "nose": (0, -0.61, -0.05), "head_top": (0, -0.75, -0.03),
        "left_shoulder": (0.17, -0.46, 0.01), "left_elbow": (0.45, -0.46, 0.01), "left_wrist": (0.7, -0.46, 0.01),
        "right_shoulder": (-0.17, -0.46, 0.01), "right_elbow": (-0.45, -0.46, 0.01), "right_wrist": (-0.7, -0.46, 0.01),
    }  # fmt: skip
    joints = np.array([[places[joint] for joint in H36M_17.joints]], np.float32)
    keypoints = np.zeros((1, 17, 2), np.float32)
    empty = Track.of_keypoints(
        1, np.zeros(1, int), np.zeros(1), np.zeros((1, 4), np.float32), keypoints, keypoints[..., 0]
    )
    return replace(empty, joints=joints, joint_scores=np.ones((1, 17), np.float32), roots=np.array([[0, 0, distance]]))


PARENTS = {
    "Spine": "Hips", "Chest": "Spine", "Neck": "Chest", "Head": "Neck",
    **{f"{side}{bone}": parent for side in ("Left", "Right") for bone, parent in (
        ("UpperLeg", "Hips"), ("LowerLeg", f"{side}UpperLeg"), ("Foot", f"{side}LowerLeg"),
        ("Shoulder", "Chest"), ("UpperArm", f"{side}Shoulder"), ("LowerArm", f"{side}UpperArm"),
        ("Hand", f"{side}LowerArm"),
    )},
}  # fmt: skip
"""Unity's humanoid."""

ENDS = {
    "Spine": "spine", "Chest": "thorax", "Head": "nose",
    **{f"{side}{bone}": f"{side.lower()}_{joint}" for side in ("Left", "Right") for bone, joint in (
        ("UpperLeg", "hip"), ("LowerLeg", "knee"), ("Foot", "ankle"), ("UpperArm", "shoulder"), ("LowerArm", "elbow"),
        ("Hand", "wrist"),
    )},
}  # fmt: skip
"""The joint that each of its bones begins at."""


def unity_bones(messages: Messages) -> dict[str, tuple[np.ndarray, Rotation]]:
    """Places and rotations of bones in Unity's world, one hung onto the other as a program there does."""
    local = {arguments[0]: arguments[1:] for address, arguments in messages if address == "/VMC/Ext/Bone/Pos"}
    world: dict[str, tuple[np.ndarray, Rotation]] = {}
    while len(world) < len(local):
        for bone, values in local.items():
            place, turn = np.array(values[:3]), Rotation.from_quat(values[3:])
            if bone == "Hips":
                world[bone] = place, turn
            elif PARENTS[bone] in world:
                start, turned = world[PARENTS[bone]]
                world[bone] = start + turned.apply(place), turned * turn
    return world
