"""A person's bones: from joint angles and footholds to the 17 joints of Human3.6M, with constant bone lengths.

The upper body is forward kinematics. The legs reach for footholds, so that feet on the floor do not slide; a foothold
out of reach lifts the heel, as it does in people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidpose.body.skeletons import H36M_17

LEFT, RIGHT = 0, 1
SIDES = ("left", "right")
OUTWARD = (-1.0, 1.0)
"""The sign of a side's outward direction along the person's x axis, which points right."""


@dataclass(frozen=True)
class Size:
    """Lengths in metres; the defaults are an adult of 1.75 m.

    Shoulders, arms and the whole are after Drillis and Contini (1966). Hips are 4.5 cm below their joint centres, and
    legs as much shorter: there do keypoints of real people lie (docs/experiments.md, "bodies as keypoints show them").

    Attributes:
        ankle: height of the ankle above the floor, shoe included.
        hip, shoulder: half the distance between both hip or shoulder joints.
        lumbar, thoracic: pelvis to the middle of the back, and from there to the height of the shoulder joints.
        nose: the tip of the nose above and before the thorax, in the head's frame.
        crown: the top of the head above the thorax.
    """

    ankle: float = 0.085
    shank: float = 0.40
    thigh: float = 0.405
    hip: float = 0.095
    lumbar: float = 0.26
    thoracic: float = 0.27
    shoulder: float = 0.175
    upper_arm: float = 0.285
    forearm: float = 0.25
    nose: tuple[float, float] = (0.185, 0.128)
    crown: float = 0.33

    @staticmethod
    def of(stature: float, breadth: float = 1.0) -> Size:
        """The size of a person `stature` metres tall, hips and shoulders `breadth` times as wide as usual."""
        base, scale = Size(), stature / 1.75
        return Size(
            ankle=base.ankle * scale,
            shank=base.shank * scale,
            thigh=base.thigh * scale,
            hip=base.hip * scale * breadth,
            lumbar=base.lumbar * scale,
            thoracic=base.thoracic * scale,
            shoulder=base.shoulder * scale * breadth,
            upper_arm=base.upper_arm * scale,
            forearm=base.forearm * scale,
            nose=(base.nose[0] * scale, base.nose[1] * scale),
            crown=base.crown * scale,
        )

    @property
    def leg(self) -> float:
        """Hip to ankle, the knee straight."""
        return self.thigh + self.shank


@dataclass
class Controls:
    """What a motion decides at N moments. Metres and radians; sides are in the order left, right.

    Attributes:
        pelvis: (N, 3) world position.
        facing: (N,) heading in the floor plane, anticlockwise from the world's x axis.
        tilt: (N, 3) of the pelvis against the heading: forward, to the right, turned left.
        trunk: (N, 3) of the chest against the pelvis, likewise.
        head: (N, 3) of the head against the chest, likewise.
        arms: (N, 2, 4) swing forward, swing outward, inward turn of the upper arm, bend of the elbow.
        ankles: (N, 2, 3) footholds, world position of the ankles.
        knees: (N, 2) outward turn of the knees against the heading.
    """

    pelvis: np.ndarray
    facing: np.ndarray
    tilt: np.ndarray
    trunk: np.ndarray
    head: np.ndarray
    arms: np.ndarray
    ankles: np.ndarray
    knees: np.ndarray

    @staticmethod
    def neutral(num_moments: int) -> Controls:
        """Arms relaxed at the sides, everything else zero."""
        arms = np.tile([0.05, 0.13, 0.15, 0.22], (num_moments, 2, 1))
        zeros = np.zeros
        n = num_moments
        return Controls(zeros((n, 3)), zeros(n), zeros((n, 3)), zeros((n, 3)), zeros((n, 3)), arms, zeros((n, 2, 3)),
                        zeros((n, 2)) + 0.1)  # fmt: skip

    @property
    def forward(self) -> np.ndarray:
        """(N, 3) unit vectors of the heading."""
        return np.stack([np.cos(self.facing), np.sin(self.facing), np.zeros_like(self.facing)], axis=-1)

    @property
    def rightward(self) -> np.ndarray:
        """(N, 3) unit vectors to the person's right."""
        return np.stack([np.sin(self.facing), -np.cos(self.facing), np.zeros_like(self.facing)], axis=-1)


def rotation(axis: int, angles: np.ndarray) -> np.ndarray:
    """(N,) right-handed angles about a coordinate axis to (N, 3, 3) matrices."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrices = np.tile(np.eye(3), (len(angles), 1, 1))
    matrices[:, a, a] = matrices[:, b, b] = np.cos(angles)
    matrices[:, b, a] = np.sin(angles)
    matrices[:, a, b] = -matrices[:, b, a]
    return matrices


def _lean(angles: np.ndarray) -> np.ndarray:
    """(N, 3) forward, to the right, turned left, in a frame of right, forward, up, to (N, 3, 3) matrices."""
    return rotation(2, angles[:, 2]) @ rotation(0, -angles[:, 0]) @ rotation(1, angles[:, 1])


def _arm(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) arm angles to the directions (N, 3) of upper arm and forearm, in a frame of outward, forward, up."""
    swing, abduction, turn, bend = angles.T
    shoulder = rotation(0, swing) @ rotation(1, -abduction) @ rotation(2, turn)
    bend = np.clip(bend, 0.03, 2.6)
    forearm = np.stack([np.zeros_like(bend), np.sin(bend), -np.cos(bend)], axis=-1)
    return -shoulder[:, :, 2], np.einsum("nij,nj->ni", shoulder, forearm)


def _leg(hip: np.ndarray, foothold: np.ndarray, front: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Knee and ankle (N, 3) of a leg that reaches for a foothold (N, 3) and bends its knee to the front (N, 3)."""
    reach = foothold - hip
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    direction = reach / distance
    # A knee is never quite straight: 0.9994 leaves four degrees.
    distance = np.minimum(distance, 0.9994 * size.leg)
    front = front - (front * direction).sum(-1, keepdims=True) * direction
    front /= np.linalg.norm(front, axis=-1, keepdims=True)
    along = (size.thigh**2 - size.shank**2 + distance**2) / (2 * distance)
    knee = hip + along * direction + np.sqrt(size.thigh**2 - along**2) * front
    return knee, hip + distance * direction


def pose(controls: Controls, size: Size) -> np.ndarray:
    """Joints (N, 17, 3) float64 of `H36M_17`, world metres."""
    heading = rotation(2, controls.facing - np.pi / 2)
    pelvis = heading @ _lean(controls.tilt)
    # The back bends over its whole length: its lower half takes two fifths of the angle.
    lower_back = pelvis @ _lean(0.4 * controls.trunk)
    chest = pelvis @ _lean(controls.trunk)
    head = chest @ _lean(controls.head)

    at = {"pelvis": controls.pelvis}
    at["spine"] = at["pelvis"] + size.lumbar * lower_back[:, :, 2]
    at["thorax"] = at["spine"] + size.thoracic * chest[:, :, 2]
    at["nose"] = at["thorax"] + head @ np.array([0, size.nose[1], size.nose[0]])
    at["head_top"] = at["thorax"] + size.crown * head[:, :, 2]
    for i, (side, outward) in enumerate(zip(SIDES, OUTWARD, strict=True)):
        upper, fore = (direction * (outward, 1, 1) for direction in _arm(controls.arms[:, i]))
        at[f"{side}_shoulder"] = at["thorax"] + outward * size.shoulder * chest[:, :, 0]
        at[f"{side}_elbow"] = at[f"{side}_shoulder"] + size.upper_arm * np.einsum("nij,nj->ni", chest, upper)
        at[f"{side}_wrist"] = at[f"{side}_elbow"] + size.forearm * np.einsum("nij,nj->ni", chest, fore)
        at[f"{side}_hip"] = at["pelvis"] + outward * size.hip * pelvis[:, :, 0]
        turn = outward * controls.knees[:, i, None]
        front = np.cos(turn) * controls.forward + np.sin(turn) * controls.rightward
        at[f"{side}_knee"], at[f"{side}_ankle"] = _leg(at[f"{side}_hip"], controls.ankles[:, i], front, size)
    return np.stack([at[joint] for joint in H36M_17.joints], axis=1)
