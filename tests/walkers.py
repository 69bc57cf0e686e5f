"""A person who walks, exactly known, before cameras that stand askew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PinholeCamera

CAMERA = PinholeCamera((1000.0, 1000.0), (640.0, 360.0))
SIZE = (1280, 720)

STATURE = 1.75
ANKLE = 0.048 * STATURE

# Metres across (to the right), forward and up from the middle of the hips; the legs are put on the ground below them.
_UPPER = {
    "pelvis": (0, 0, 0), "right_hip": (0.12, 0, 0), "left_hip": (-0.12, 0, 0), "spine": (0, 0.01, 0.26),
    "thorax": (0, 0.02, 0.5), "nose": (0, 0.12, 0.66), "head_top": (0, 0.03, 0.79),
    "left_shoulder": (-0.18, 0.02, 0.5), "left_elbow": (-0.24, 0, 0.22), "left_wrist": (-0.24, 0.12, 0),
    "right_shoulder": (0.18, 0.02, 0.5), "right_elbow": (0.24, 0, 0.22), "right_wrist": (0.24, 0.12, 0),
}  # fmt: skip
_STRIDE_SECONDS = 1.1
_STANCE = 0.6
_HIPS = 0.86


def ellipse(times: np.ndarray) -> np.ndarray:
    """(N, 2) places on the floor of somebody who walks around it, at about 1.2 m/s."""
    return np.stack([1.6 * np.cos(0.9 * times), 1.1 * np.sin(0.9 * times)], axis=-1)


def still(times: np.ndarray) -> np.ndarray:
    """(N, 2) places of somebody who stays."""
    return np.zeros((len(times), 2))


def walk(times: np.ndarray, path: Callable[[np.ndarray], np.ndarray] = ellipse) -> np.ndarray:
    """(N, 17, 3) world metres, Z up and the floor at 0, of somebody whose feet stand still while they stand."""
    ahead = path(times + 1e-3) - path(times - 1e-3)
    ahead = np.where(np.abs(ahead).sum(axis=1, keepdims=True) > 0, ahead, [0.0, 1.0])
    ahead = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    across = np.stack([ahead[:, 1], -ahead[:, 0]], axis=-1)
    joints = np.zeros((len(times), len(H36M_17), 3))
    for name, (right, forward, up) in _UPPER.items():
        joint = joints[:, H36M_17.index(name)]
        joint[:, :2] = path(times) + right * across + forward * ahead
        joint[:, 2] = _HIPS + up
    for side, shift in (("left", 0.0), ("right", 0.5)):
        hip, knee, ankle = (H36M_17.index(f"{side}_{joint}") for joint in ("hip", "knee", "ankle"))
        joints[:, ankle] = _foot(times, path, shift, 0.12 if side == "right" else -0.12)
        joints[:, knee] = (joints[:, hip] + joints[:, ankle]) / 2
    return joints


def _foot(times: np.ndarray, path: Callable[[np.ndarray], np.ndarray], shift: float, aside: float) -> np.ndarray:
    stride = times / _STRIDE_SECONDS + shift
    number, phase = np.floor(stride), stride % 1
    swing = np.clip((phase - _STANCE) / (1 - _STANCE), 0, 1)
    here, there = (_stand(path, (number + k - shift + _STANCE / 2) * _STRIDE_SECONDS, aside) for k in (0, 1))
    smooth = (swing**2 * (3 - 2 * swing))[:, None]
    place = here + smooth * (there - here)
    moving = np.linalg.norm(there - here, axis=1) > 1e-6
    return np.column_stack([place, ANKLE + 0.12 * np.sin(np.pi * swing) * moving])


def _stand(path: Callable[[np.ndarray], np.ndarray], times: np.ndarray, aside: float) -> np.ndarray:
    ahead = path(times + 1e-3) - path(times - 1e-3)
    ahead = np.where(np.abs(ahead).sum(axis=1, keepdims=True) > 0, ahead, [0.0, 1.0])
    ahead = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    return path(times) + aside * np.stack([ahead[:, 1], -ahead[:, 0]], axis=-1)


def world_to_camera(pitch: float, roll: float, height: float = 1.6, distance: float = 5.5) -> np.ndarray:
    """(3, 4) of a camera that looks along the world's Y from so far, `pitch` degrees down, turned by `roll` degrees."""
    pitch, roll = np.radians([pitch, roll])
    forward = np.array([0, np.cos(pitch), -np.sin(pitch)])
    right = np.array([1.0, 0.0, 0.0])
    down = np.cross(forward, right)
    turned = [np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right]
    rotation = np.stack([*turned, forward])
    return np.column_stack([rotation, -rotation @ [0.0, -distance, height]])


def seen_by(move: np.ndarray, world: np.ndarray) -> np.ndarray:
    """World points in the frame of a camera."""
    return world @ move[:, :3].T + move[:, 3]
