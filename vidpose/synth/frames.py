"""The local frames of a body's segments, found from its 17 joints alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vidpose.body.skeletons import EXTREMITIES_10, H36M_17
from vidpose.synth.figure import OUTWARD, SIDES

UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class LocalFrame:
    """A place and three axes.

    Attributes:
        origin: (3,) world metres.
        axes: (3, 3); the columns are the segment's right, forward and up.
    """

    origin: np.ndarray
    axes: np.ndarray

    def __call__(self, right: float, forward: float, up: float) -> np.ndarray:
        """The world point (3,) at these coordinates in metres."""
        return self.origin + self.axes @ (right, forward, up)

    def direction(self, right: float, forward: float, up: float) -> np.ndarray:
        """The world unit vector (3,) along these coordinates."""
        vector = self.axes @ (right, forward, up)
        return vector / np.linalg.norm(vector)

    @property
    def right(self) -> np.ndarray:
        return self.axes[:, 0]

    @property
    def forward(self) -> np.ndarray:
        return self.axes[:, 1]

    @property
    def up(self) -> np.ndarray:
        return self.axes[:, 2]


def unit(vector: np.ndarray) -> np.ndarray:
    """The vector at length 1."""
    return vector / np.linalg.norm(vector)


def frame(origin: np.ndarray, up: np.ndarray, forward: np.ndarray) -> LocalFrame:
    """The frame whose up axis is `up` and whose forward axis is as near to `forward` as that allows."""
    up = unit(up)
    right = unit(np.cross(forward, up))
    return LocalFrame(origin, np.column_stack([right, np.cross(up, right), up]))


@dataclass(frozen=True)
class Limb:
    """The frames of an arm or a leg, each at the upper end of its segment with the up axis along the segment,
    pointing back to the trunk. `forward` is the side of the thumb, the kneecap or the toes' upper side.

    Attributes:
        upper, lower: of upper arm and forearm, or thigh and shank.
        end: of the hand at the wrist, or of the foot at the ankle; the foot's forward axis points to the toes.
        outward: +1 where the frames' right axes point outward, -1 where inward.
    """

    upper: LocalFrame
    lower: LocalFrame
    end: LocalFrame
    outward: float


@dataclass(frozen=True)
class Frames:
    """All segments of a body. `chest` lies at the thorax, `pelvis` at the pelvis, `head` at the thorax too."""

    joints: Mapping[str, np.ndarray]
    pelvis: LocalFrame
    chest: LocalFrame
    head: LocalFrame
    arms: tuple[Limb, Limb]
    legs: tuple[Limb, Limb]


def frames(joints: np.ndarray) -> Frames:
    """The segments of one body from its joints (17, 3) of `H36M_17`, world metres."""
    at = dict(zip(H36M_17.joints, joints, strict=True))
    pelvis = _trunk(at["pelvis"], at["right_hip"] - at["left_hip"], at["spine"] - at["pelvis"])
    chest = _trunk(at["thorax"], at["right_shoulder"] - at["left_shoulder"], at["thorax"] - at["spine"])
    head = frame(at["thorax"], at["head_top"] - at["thorax"], at["nose"] - at["thorax"])
    left_arm, right_arm = (_arm(at, side, outward, chest) for side, outward in zip(SIDES, OUTWARD, strict=True))
    left_leg, right_leg = (_leg(at, side, outward, pelvis) for side, outward in zip(SIDES, OUTWARD, strict=True))
    return Frames(at, pelvis, chest, head, (left_arm, right_arm), (left_leg, right_leg))


_FOOT_AND_HAND = {
    "heel": (0.0, -0.05, -0.045), "toe": (0.0, 0.165, -0.05),
    "index": (0.0, 0.028, -0.09), "pinky": (0.0, -0.027, -0.09), "thumb": (-0.012, 0.052, -0.062),
}  # fmt: skip
"""Metres outwards, forward and up in the frames at ankle and wrist, as `vidpose.synth.physique` draws them."""


def extremities(joints: np.ndarray) -> np.ndarray:
    """Feet and hands (10, 3) of `EXTREMITIES_10` of one body, from its joints (17, 3) of `H36M_17`, world metres."""
    parts, at = frames(joints), {}
    for i, side in enumerate(SIDES):
        for point, (right, forward, up) in _FOOT_AND_HAND.items():
            limb = (parts.legs if point in ("heel", "toe") else parts.arms)[i]
            at[f"{side}_{point}"] = limb.end(right * limb.outward, forward, up)
    return np.stack([at[point] for point in EXTREMITIES_10.joints])


def _trunk(origin: np.ndarray, right: np.ndarray, up: np.ndarray) -> LocalFrame:
    return frame(origin, up, np.cross(up, right))


def _arm(at: Mapping[str, np.ndarray], side: str, outward: float, chest: LocalFrame) -> Limb:
    shoulder, elbow, wrist = (at[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist"))
    # A bent elbow shows where the thumb is; the chest decides where the arm is straight.
    thumb = unit(shoulder - elbow) + 0.25 * chest.forward
    upper = frame(shoulder, shoulder - elbow, unit(wrist - elbow) + 0.25 * chest.forward)
    lower = frame(elbow, elbow - wrist, thumb)
    return Limb(upper, lower, LocalFrame(wrist, lower.axes), outward)


def _leg(at: Mapping[str, np.ndarray], side: str, outward: float, pelvis: LocalFrame) -> Limb:
    hip, knee, ankle = (at[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
    kneecap = unit(knee - hip) - unit(ankle - knee) + 0.25 * pelvis.forward
    upper, lower = frame(hip, hip - knee, kneecap), frame(knee, knee - ankle, kneecap)
    return Limb(upper, lower, _foot(ankle, lower), outward)


def _foot(ankle: np.ndarray, shank: LocalFrame) -> LocalFrame:
    """Flat on the floor while the ankle is low, square to the shank in the air, never through the floor."""
    level = unit(shank.forward * (1, 1, 0))
    lifted = np.clip((ankle[2] - 0.09) / 0.08, 0, 1)
    toes = unit(level + lifted * (shank.forward - level))
    # The ball of the foot is 0.15 m from the ankle and 0.03 m thick.
    lowest = -np.clip((ankle[2] - 0.05) / 0.15, 0, 0.95)
    rise = max(toes[2], lowest)
    toes = np.sqrt(1 - rise**2) * level + rise * UP
    return frame(ankle, np.cross(np.cross(toes, UP), toes), toes)
