"""Limbs of motion capture that cannot straighten, mended.

CMU's skeletons have hips and ankles where they belong, and thigh and shin 1 to 7 % too long for the distance between
them: whoever stands straight has the knee pushed forward, by 15 to 40 degrees of flexion. Elbows likewise, by less.
Marker-based recordings of quiet standing have 3 to 10 degrees.

The ends of a limb stay where they are. Both bones are shortened by one factor, the same for all of a person's
sequences on one skeleton, and the middle joint is placed again in the limb's own plane. The factor is what makes the
knee of a person who stands still, or the straightest elbows, as straight as people's are. Where the ends are further
apart than the shortened bones reach, the limb is straight and the bones are as long as that takes.

Shape suffixes: F frames, D the 3 of a position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidpose.body.skeletons import H36M_17

STANDING_FLEXION = 4.0
"""Degrees of the knee, median of quiet standing, that a leg is brought to."""

STRAIGHT_FLEXION = 4.5
"""Degrees: the 10th percentile of upright frames, where a person never stands still, or the 4th of all of an elbow."""

_STANDING_ENOUGH, _KNEE_ENOUGH, _ELBOW_ENOUGH = 8.0, 5.0, 10.0
"""Degrees; limbs that come to this stay as they are."""

_LEAST_FACTOR = {"standing": 0.9, "moving": 0.94}
"""More is no error of the bones: this person was never seen with the limb stretched."""

_STRETCHED, _STRETCHED_PERCENT = 0.02, 12
"""No more frames than so many per cent have bones that are longer than that share."""

_FEWEST_STANDING, _FEWEST = 10, 100
"""Frames that a factor is worked out from."""

_STILL = 0.3
"""Metres a second, of the fastest joint of someone who stands still."""

_LEVEL = 0.05
"""Metres between the ankles' heights of someone who stands on both feet."""

_STANDING_TALL, _STANDING_TALL_AT_FIRST, _UPRIGHT = 0.96, 0.92, 0.85
"""Height of the hips over the ankles, in lengths of the leg; at first that is not yet the right one."""

_ROUNDS = 6

_SAME_BONES = 0.004
"""Metres; sequences whose bones differ by less are on one skeleton."""


@dataclass(frozen=True)
class TwoBones:
    """Rows of `H36M_17`: a limb's root, its middle joint and its end."""

    root: int
    middle: int
    end: int

    def bones(self, positions_FJD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(F,) lengths of the upper and of the lower bone."""
        middle_FD = positions_FJD[:, self.middle]
        return (
            np.linalg.norm(middle_FD - positions_FJD[:, self.root], axis=-1),
            np.linalg.norm(positions_FJD[:, self.end] - middle_FD, axis=-1),
        )

    def reach(self, positions_FJD: np.ndarray) -> np.ndarray:
        """(F,) distance from root to end."""
        return np.linalg.norm(positions_FJD[:, self.end] - positions_FJD[:, self.root], axis=-1)

    def flexion(self, positions_FJD: np.ndarray) -> np.ndarray:
        """(F,) degrees between the two bones; 0 is straight."""
        upper_FD = positions_FJD[:, self.middle] - positions_FJD[:, self.root]
        lower_FD = positions_FJD[:, self.end] - positions_FJD[:, self.middle]
        across_F = np.linalg.norm(np.cross(upper_FD, lower_FD), axis=-1)
        return np.degrees(np.arctan2(across_F, (upper_FD * lower_FD).sum(axis=-1)))


def _limbs(*joints: str) -> tuple[TwoBones, TwoBones]:
    left, right = (TwoBones(*(H36M_17.index(f"{side}_{joint}") for joint in joints)) for side in ("left", "right"))
    return left, right


LEGS = _limbs("hip", "knee", "ankle")
ARMS = _limbs("shoulder", "elbow", "wrist")


def straighten(sequences: Sequence[np.ndarray], subjects: Sequence[int], fps: float) -> list[np.ndarray]:
    """Sequences whose limbs straighten as people's do.

    Args:
        sequences: (F, 17, 3) metres each, in the layout `H36M_17`, z up.
        subjects: who it is in each. All that is known of a person should be here at once.
        fps: frames a second.

    Returns:
        The sequences with other knees and elbows, float32; all other joints are the same to the bit.
    """
    mended = [np.array(sequence, np.float32) for sequence in sequences]
    for members in _skeletons(sequences, subjects):
        own = [np.asarray(sequences[i], np.float64) for i in members]
        factors = [*leg_factors(own, fps), *(arm_factor(own, arm) for arm in ARMS)]
        for limb, factor in zip((*LEGS, *ARMS), factors, strict=True):
            if factor < 1:
                for i, sequence in zip(members, own, strict=True):
                    mended[i][:, limb.middle] = middle_joint(sequence, limb, factor)
    return mended


def _skeletons(sequences: Sequence[np.ndarray], subjects: Sequence[int]) -> list[list[int]]:
    """Numbers of sequences that are of one person and on one skeleton: a database may have a person on several."""
    found: list[tuple[int, np.ndarray, list[int]]] = []
    for i, (sequence, subject) in enumerate(zip(sequences, subjects, strict=True)):
        lengths = np.median([length for limb in (*LEGS, *ARMS) for length in limb.bones(sequence)], axis=1)
        for known, known_lengths, members in found:
            if known == subject and np.abs(lengths - known_lengths).max() < _SAME_BONES:
                members.append(i)
                break
        else:
            found.append((subject, lengths, [i]))
    return [members for _, _, members in found]


def quiet_standing(positions_FJD: np.ndarray, fps: float) -> np.ndarray:
    """(F,) bool: no joint moves, the feet are level, and the hips are as high over them as the legs allow."""
    return _still(positions_FJD, fps) & (hip_height(positions_FJD) > _STANDING_TALL * _leg_length(positions_FJD))


def _still(positions_FJD: np.ndarray, fps: float) -> np.ndarray:
    if len(positions_FJD) < 2:
        return np.zeros(len(positions_FJD), bool)
    speed_F = fps * np.linalg.norm(np.gradient(positions_FJD, axis=0), axis=-1).max(axis=1)
    ankles_F2 = positions_FJD[:, [leg.end for leg in LEGS], 2]
    return (speed_F < _STILL) & (np.abs(np.diff(ankles_F2, axis=1)[:, 0]) < _LEVEL)


def hip_height(positions_FJD: np.ndarray) -> np.ndarray:
    """(F,) metres from the middle of the ankles up to the pelvis."""
    ankles_F = positions_FJD[:, [leg.end for leg in LEGS], 2].mean(axis=1)
    return positions_FJD[:, H36M_17.index("pelvis"), 2] - ankles_F


def _leg_length(positions_FJD: np.ndarray) -> np.ndarray:
    """(F,) metres of thigh and shin, mean of both legs."""
    return np.mean([np.sum(leg.bones(positions_FJD), axis=0) for leg in LEGS], axis=0)


def leg_factors(sequences: Sequence[np.ndarray], fps: float) -> tuple[float, float]:
    """On the bones of the left and of the right leg, for a person who stands as people stand, or goes as people go."""
    together = np.concatenate(sequences)
    height_F, length_F = hip_height(together), _leg_length(together)
    still_F = np.concatenate([_still(sequence, fps) for sequence in sequences])
    upright = together[height_F > _UPRIGHT * length_F]
    factors = [_of_upright(upright, leg) for leg in LEGS]
    # Who stands tall is told by the length of the legs, which follows from who stands tall.
    tall = _STANDING_TALL_AT_FIRST
    for _ in range(_ROUNDS):
        standing = together[still_F & (height_F > tall * np.mean(factors) * length_F)]
        if len(standing) < _FEWEST_STANDING:
            break
        factors = [max(_of_standing(standing, leg), _stretching(together, leg)) for leg in LEGS]
        tall = _STANDING_TALL
    return factors[0], factors[1]


def _of_standing(standing_FJD: np.ndarray, leg: TwoBones) -> float:
    if np.median(leg.flexion(standing_FJD)) <= _STANDING_ENOUGH:
        return 1.0
    return _bounded(np.median(_factors(standing_FJD, leg, STANDING_FLEXION)), "standing")


def _of_upright(upright_FJD: np.ndarray, leg: TwoBones) -> float:
    if len(upright_FJD) < _FEWEST or np.percentile(leg.flexion(upright_FJD), 10) <= _KNEE_ENOUGH:
        return 1.0
    return _bounded(np.percentile(_factors(upright_FJD, leg, STRAIGHT_FLEXION), 90), "moving")


def _stretching(positions_FJD: np.ndarray, leg: TwoBones) -> float:
    """The factor from which on too many frames would have longer bones than a skeleton forgives."""
    spanned_F = leg.reach(positions_FJD) / sum(leg.bones(positions_FJD))
    return min(1.0, float(np.percentile(spanned_F, 100 - _STRETCHED_PERCENT)) / (1 + _STRETCHED))


def arm_factor(sequences: Sequence[np.ndarray], arm: TwoBones) -> float:
    """On the bones of an arm, for a person who now and then stretches it."""
    together = np.concatenate(sequences)
    if len(together) < _FEWEST or np.percentile(arm.flexion(together), 4) <= _ELBOW_ENOUGH:
        return 1.0
    return _bounded(np.percentile(_factors(together, arm, STRAIGHT_FLEXION), 96), "moving")


def _factors(positions_FJD: np.ndarray, limb: TwoBones, degrees: float) -> np.ndarray:
    """(F,) what both bones would have to be multiplied by for the limb to be bent by so much."""
    upper_F, lower_F = limb.bones(positions_FJD)
    bent_F = np.sqrt(upper_F**2 + lower_F**2 + 2 * upper_F * lower_F * np.cos(np.radians(degrees)))
    return limb.reach(positions_FJD) / bent_F


def _bounded(factor: float, evidence: str) -> float:
    return float(np.clip(factor, _LEAST_FACTOR[evidence], 1.0))


def middle_joint(positions_FJD: np.ndarray, limb: TwoBones, factor: float) -> np.ndarray:
    """(F, 3) the middle joint of a limb whose bones are shorter, in the plane that the limb has."""
    root_FD, end_FD = positions_FJD[:, limb.root], positions_FJD[:, limb.end]
    upper_F, lower_F = limb.bones(positions_FJD)
    reach_F = np.maximum(limb.reach(positions_FJD), 1e-6)
    along_FD = (end_FD - root_FD) / reach_F[:, None]
    old_FD = positions_FJD[:, limb.middle] - root_FD
    side_FD = old_FD - (old_FD * along_FD).sum(axis=-1, keepdims=True) * along_FD
    side_FD /= np.maximum(np.linalg.norm(side_FD, axis=-1, keepdims=True), 1e-9)
    # A limb that its bones do not span is straight, and both are longer by the same share.
    scale_F = np.maximum(factor, reach_F / (upper_F + lower_F))
    upper_F, lower_F = upper_F * scale_F, lower_F * scale_F
    share_F = (reach_F**2 + upper_F**2 - lower_F**2) / (2 * reach_F)
    away_F = np.sqrt(np.maximum(upper_F**2 - share_F**2, 0))
    return root_FD + share_F[:, None] * along_FD + away_F[:, None] * side_FD
