"""The full-body model of OpenSim that exported files fit: its bones, and a person's sizes and limbs in their terms.

Rajagopal et al., "Full-body musculoskeletal model for muscle-driven simulation of human gait", 2016
(`Rajagopal2016.osim`). In a body's frame x is forward, y up, z to its right. Numbers are of the unscaled model's right
side, in metres; on the left, z is turned over. Of the knee, which rolls and glides, only the hinge is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from vidpose.body.skeletons import Skeleton

HIP = np.array([-0.05628, -0.07849, 0.07726])
"""From the origin of the pelvis to the right hip."""

_BACK = np.array([-0.1007, 0.0815, 0.0])
"""From the origin of the pelvis to that of the torso."""

SHOULDER = np.array([0.00316, 0.3715, 0.17])
"""From the origin of the torso to the right shoulder."""


@dataclass(frozen=True)
class ModelLimb:
    """An arm or a leg of the right side.

    Attributes:
        upper: (3,) from its first joint to the hinge, in the frame of the upper bone.
        lower: (3,) from the hinge to its end, in the same frame where the hinge is at zero.
        axis: (3,) that the hinge flexes about, right-handed.
    """

    upper: np.ndarray
    lower: np.ndarray
    axis: np.ndarray

    def mirrored(self) -> ModelLimb:
        """The left one."""
        return ModelLimb(self.upper * (1, 1, -1), self.lower * (1, 1, -1), self.axis * (-1, -1, 1))

    def flexion(self, bends: np.ndarray) -> np.ndarray:
        """(N,) radians that the hinge flexes by where (N,) radians lie between the two bones."""
        along, unit = self.upper / np.linalg.norm(self.upper), self.lower / np.linalg.norm(self.lower)
        still = (along @ self.axis) * (unit @ self.axis)
        cosine, sine = along @ unit - still, along @ np.cross(self.axis, unit)
        reach = np.clip((np.cos(bends) - still) / np.hypot(cosine, sine), -1, 1)
        return np.arctan2(sine, cosine) + np.arccos(reach)

    def bent(self, flexions: np.ndarray) -> np.ndarray:
        """(N, 3) where the lower bone points in the frame of the upper one."""
        return Rotation.from_rotvec(flexions[:, None] * self.axis).apply(self.lower / np.linalg.norm(self.lower))


CALCN = np.array([-0.04877, -0.04195, 0.00792])
"""From the right ankle to the origin of the heel's bone, `calcn_r`."""

HEEL, TOE = np.array([-0.048, -0.040, 0.0]), np.array([0.156, -0.046, 0.0])
"""From the ankle of a foot that stands to where fitted bodies have heel and toe (`Track.extremities`), if the shank is
as long as the model's."""

LEG = ModelLimb(np.array([0.0015, -0.406, -0.002]), np.array([-0.01, -0.4, 0.0]), np.array([0.0, 0, -1]))
"""The knee is where it is on average while it bends."""

ARM = ModelLimb(
    np.array([0.01314, -0.28627, -0.00959]),
    np.array([-0.01552, -0.24885, 0.03969]),
    np.array([0.22605, 0.02227, 0.97386]),
)
"""To the wrist, the palm to the front, as the model has it where `pro_sup` is 0."""

RANGES: Mapping[str, tuple[float, float]] = {"ankle_angle": (-40, 30), "pro_sup": (0, 90), "wrist_flex": (-70, 70)}
"""Degrees that the model's coordinates do not exceed."""

MARKERS: Mapping[str, str] = {
    "pelvis": "MidHip", "spine": "Spine", "thorax": "MidShoulder", "nose": "Nose", "head_top": "HeadTop",
    **{f"{side}_{joint}": f"{side[0].upper()}{letter}JC" for side in ("left", "right") for joint, letter in (
        ("hip", "H"), ("knee", "K"), ("ankle", "A"), ("shoulder", "S"), ("elbow", "E"), ("wrist", "W"))},
    **{f"{side}_{joint}": f"{side[0].upper()}{mark}" for side in ("left", "right") for joint, mark in (
        ("toe", "TOE"), ("heel", "CAL"), ("index", "Index"), ("pinky", "Pinky"), ("thumb", "Thumb"))},
}  # fmt: skip
"""Joint -> marker. Centres of joints, heels and toes have the names of the model's own markers, `RHJC` and `RCAL`, and
`RWJC` for the wrist."""


@dataclass(frozen=True)
class ModelSizes:
    """How many times as large as the model a person is, part by part.

    `torso_across` is along z. Hands are as their forearms, and feet, where they are not known, as their shanks.
    """

    pelvis: float
    torso: float
    torso_across: float
    thigh: float
    shank: float
    upper_arm: float
    forearm: float
    foot: float

    @staticmethod
    def of(joints: np.ndarray, layout: Skeleton) -> ModelSizes:
        """Of joints (N, J, 3) in metres, the median over the frames that have them, and over both sides.

        A part whose joints are never there is as large as the trunk says, or as in the model.
        """
        at = {name: joints[:, index] for index, name in enumerate(layout.joints)}

        def length(start: str, end: str) -> float:
            ways = np.concatenate([
                np.linalg.norm(at[f"{a}_{start}"] - at[f"{b}_{end}"], axis=1)
                for a, b in ((("left", "right"),) if start == end else (("left", "left"), ("right", "right")))
            ])  # fmt: skip
            ways = ways[np.isfinite(ways)]
            return float(np.median(ways)) if len(ways) else np.nan

        hips, shoulders = ((at[f"left_{joint}"] + at[f"right_{joint}"]) / 2 for joint in ("hip", "shoulder"))
        trunks = np.linalg.norm(hips - shoulders, axis=1)
        trunk = float(np.median(trunks[np.isfinite(trunks)])) if np.isfinite(trunks).any() else np.nan
        pelvis = _or(length("hip", "hip") / (2 * HIP[2]), 1.0)
        torso = _or((trunk - pelvis * (_BACK - HIP)[1]) / SHOULDER[1], pelvis)
        shank = _or(length("knee", "ankle") / np.linalg.norm(LEG.lower), torso)
        has_feet = "left_heel" in at
        return ModelSizes(
            pelvis=pelvis,
            torso=torso,
            torso_across=_or(length("shoulder", "shoulder") / (2 * SHOULDER[2]), torso),
            thigh=_or(length("hip", "knee") / np.linalg.norm(LEG.upper), torso),
            shank=shank,
            upper_arm=_or(length("shoulder", "elbow") / np.linalg.norm(ARM.upper), torso),
            forearm=_or(length("elbow", "wrist") / np.linalg.norm(ARM.lower), torso),
            foot=_or(length("heel", "toe") / np.linalg.norm(TOE - HEEL), shank) if has_feet else shank,
        )


def _or(value: float | np.floating, other: float) -> float:
    """A size, unless it is none."""
    return float(value) if np.isfinite(value) and value > 0 else other
