"""How well a body agrees with a stretch of a track, and the body that agrees best.

The cost of a body (`vidpose.refine.hinged_body`) is the integral over time of

- how far its bones are from the lifted ones; a lifter is surer across the line of sight than along it,
- how far its joints appear from the 2D keypoints, by their scores, in the camera's perspective,
- the squared accelerations of its bones and of its root,
- the squared speeds of ankles whose foot rests while the person walks,
- the squared angles by which knees and elbows bend further than they can, and thighs and upper arms turn about
  themselves further than they can.

The first is robust by Charbonnier's function, 2 (sqrt(1 + x^2) - 1), the second by Geman and McClure's, x^2 / (1 +
x^2), which lets go of keypoints that are plainly wrong. Where scores are low, the pose follows from its neighbours in
time.

The minimum is found by Levenberg and Marquardt's method (`vidpose.refine.descent`), the robust terms reweighted at
every step.

Shape suffixes: N frames, J joints, H hinges, U unknowns, R residuals, D the 3 of a position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidpose.body.tracks import PinholeCamera
from vidpose.refine.descent import Accelerations, descend
from vidpose.refine.hinged_body import (
    BENDS,
    HINGED,
    LAYOUT,
    REST_HD,
    ROOT,
    TRUNK,
    UNKNOWNS,
    UPPER,
    Body,
    cross_matrices,
    turn_of,
)


@dataclass(frozen=True)
class Spread:
    """How far things are expected to be off, as standard deviations: metres, radians, seconds.

    Attributes:
        across, along: the end of a lifted bone against its start, across and along the line of sight: between what
            lifters are off by on motion like that they learned from and on real video, twice as much.
        least, doubt: of a lifter that says how far it is off, the part that it does not know of, and a factor on the
            rest: on real video it errs more than on what it learned from.
        robust: standard deviations from which on a lifted bone counts less.
        keypoint: a keypoint of score 1, in metres at the person.
        wild: in metres at the person; a keypoint that far off counts half, and further off ever less.
        acceleration: of a bone's end against its start, times what is usual for that bone.
        root_acceleration: of the root.
        sliding: speed of an ankle whose foot rests while somebody walks.
        roll: acceleration of a bone's roll about itself.
        limit: beyond what a joint can do.
        twist: of a thigh and an upper arm about themselves.
    """

    across: float = 0.037
    along: float = 0.075
    least: float = 0.035
    doubt: float = 1.5
    robust: float = 2.0
    keypoint: float = 0.03
    wild: float = 0.12
    acceleration: float = 4.5
    root_acceleration: float = 6.0
    sliding: float = 0.2
    roll: float = 50.0
    limit: float = 0.05
    twist: float = 0.7


SPREAD = Spread()

_TWISTS = np.radians([50.0, 50, 100, 100])
"""How far thighs and upper arms can turn about themselves to either side, in the order of `HINGED`."""

_UNSCORED = 0.2
"""Weight of a lifted bone whose keypoints have score 0: it was made from their neighbours'."""

_TRIANGULATED = 0.01
"""Metres, standard deviation of a bone's end against its start, by what several views see."""

SHOWN = tuple(i for i, joint in enumerate(LAYOUT.joints) if joint not in ("pelvis", "spine", "thorax"))
"""Joints that keypoints show. Detectors have none inside the trunk; conversions make these of hips and shoulders, which
is not quite where they are."""

_USUAL = {"hip": 0.9, "knee": 4.5, "ankle": 6.1, "spine": 1.4, "thorax": 1.4, "nose": 1.1, "head_top": 1.2,
          "shoulder": 1.5, "elbow": 3.5, "wrist": 3.8}  # fmt: skip
"""m/s^2 by which the end of a bone accelerates against its start, along an axis: root mean square over the motion that
lifters learn from, at 25 frames a second."""

_USUAL_J1 = np.array([[_USUAL[joint.removeprefix("left_").removeprefix("right_")]] for joint in LAYOUT.joints[1:]])

_ROLL_AXES = {LAYOUT.index(joint): axis for joint, axis in {
    "spine": (1, 0, 0), "nose": (1, 0, 0), "left_hip": (1, 0, 0), "right_hip": (1, 0, 0), "left_shoulder": (0, 1, 0),
    "right_shoulder": (0, 1, 0)}.items()}  # fmt: skip
"""Of joints with one bone, whose roll its end does not show, an axis across it in the rest pose."""

_ANKLES = tuple(LAYOUT.index(f"{side}_ankle") for side in ("left", "right"))

_NEAREST = 0.1
"""Metres: no joint is closer to the camera."""


def _lifter_spreads(doubts_NJ2: np.ndarray, frames: int) -> np.ndarray:
    """(N, J, 3) standard deviations of the lifted bones: the usual ones, or what the lifter says of itself."""
    if not doubts_NJ2.shape[1]:
        return np.broadcast_to((SPREAD.across, SPREAD.across, SPREAD.along), (frames, len(LAYOUT), 3))
    return np.hypot(SPREAD.least, SPREAD.doubt * doubts_NJ2[..., [0, 0, 1]].astype(np.float64))


@dataclass(frozen=True)
class Evidence:
    """What a body is fitted to.

    Attributes:
        bones: (N, J, 3) lifted, from each joint's parent to it, metres.
        trust: (N, J) of these, 0 to 1.
        spreads: (N, J, 3) their standard deviations, metres: of x and y, and of z, along the line of sight.
        rays: (N, J, 2) keypoints as the camera's (x / z, y / z); any finite value where absent.
        scores: (N, J) of the keypoints that show a joint, 0 where absent.
        depths: (N,) metres, about where the person is.
        times: (N,) increasing seconds.
        rests: (N, 2) bool, which foot, left and right, rests while the person walks.
    """

    bones: np.ndarray
    trust: np.ndarray
    spreads: np.ndarray
    rays: np.ndarray
    scores: np.ndarray
    depths: np.ndarray
    times: np.ndarray
    rests: np.ndarray

    @staticmethod
    def of(
        joints: np.ndarray, doubts: np.ndarray, keypoints: np.ndarray, scores: np.ndarray, roots: np.ndarray,
        times: np.ndarray, rests: np.ndarray, camera: PinholeCamera,
    ) -> Evidence:  # fmt: skip
        """From a stretch of a track: joints relative to the root and what the lifter doubts of them (`Track.doubts`),
        keypoints of these joints, the root's path, and which foot rests."""
        parents = [max(parent, 0) for parent in LAYOUT.parents]
        there_NJ = np.isfinite(keypoints).all(axis=-1)
        scores = np.where(there_NJ, scores, 0.0)
        trust = _UNSCORED + (1 - _UNSCORED) * np.minimum(scores, scores[:, parents])
        rays = (np.where(there_NJ[..., None], keypoints, 0.0) - camera.centre) / camera.focal
        shown = np.isin(np.arange(len(LAYOUT)), SHOWN)
        spreads = _lifter_spreads(doubts, len(times))
        return Evidence(joints - joints[:, parents], trust, spreads, rays, scores * shown, roots[:, 2], times, rests)

    @staticmethod
    def in_space(joints: np.ndarray, times: np.ndarray) -> Evidence:
        """Of joints relative to the root that are known as well in every direction, and nothing else."""
        parents, (frames, count, _) = [max(parent, 0) for parent in LAYOUT.parents], joints.shape
        spreads, nowhere, unseen = (
            np.full(joints.shape, _TRIANGULATED),
            np.zeros((frames, count, 2)),
            np.zeros((frames, count)),
        )
        return Evidence(
            joints - joints[:, parents],
            unseen + 1,
            spreads,
            nowhere,
            unseen,
            np.ones(frames),
            times,
            np.zeros((frames, 2), bool),
        )


def best_body(body: Body, evidence: Evidence, spread: Spread = SPREAD) -> Body:
    """The body that agrees best with the evidence, found from one that is near; its bends within `BENDS`."""
    body = descend(Agreement(evidence, spread), body)
    return Body(body.offsets, body.turned, np.clip(body.bends, *BENDS), body.roots)


class Agreement:
    """The cost of a body, and the equations of the step that lowers it."""

    def __init__(self, evidence: Evidence, spread: Spread):
        self.evidence, self.spread = evidence, spread
        self.accelerations = Accelerations(evidence.times)
        both_N2 = evidence.rests[1:] & evidence.rests[:-1]
        self.held_N2 = both_N2 / (spread.sliding**2 * np.diff(evidence.times)[:, None])

    def moved(self, body: Body, change_NU: np.ndarray) -> Body:
        return body.moved(change_NU)

    def cost(self, body: Body) -> float:
        bones_NJD = body.bones()
        _, _, lifted_NJ = self._lifted(bones_NJD)
        _, _, seen_NJ = self._seen(body.joints() + body.roots[:, None])
        frames_N = lifted_NJ.sum(axis=1) + seen_NJ.sum(axis=1) + np.square(self._limits(body)).sum(axis=1)
        slid_N2 = np.square(np.diff(self._ankles(body), axis=0)).sum(axis=-1)
        sliding = float((self.held_N2 * slid_N2).sum())
        return float(self.accelerations.seconds_N @ frames_N) + self.accelerations.cost(self._moving(body)) + sliding

    def normal_equations(self, body: Body) -> tuple[list[np.ndarray], np.ndarray]:
        """The (N, U, U) blocks of each frame with itself, the next and the next but one; and (N, U) downhill."""
        bones_by_NJDU = body.bone_derivatives()
        terms = self._bone_rows(body, bones_by_NJDU), self._keypoint_rows(body), self._limit_rows(body)
        by_NRU, off_NR = (np.concatenate(parts, axis=1) for parts in zip(*terms, strict=True))
        root_N = np.sqrt(self.accelerations.seconds_N)
        by_NRU *= root_N[:, None, None]
        off_NR *= root_N[:, None]
        diagonal = np.swapaxes(by_NRU, 1, 2) @ by_NRU
        downhill = -(off_NR[:, None] @ by_NRU)[:, 0]
        blocks = [diagonal, np.zeros_like(diagonal), np.zeros_like(diagonal)]
        by_NRU = self._moving_derivatives(body, bones_by_NJDU)
        self.accelerations.add(self._moving(body), by_NRU, blocks, downhill)
        self._add_resting(body, blocks, downhill)
        return blocks, downhill

    def _lifted(self, bones_NJD: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N, J, 3) residuals of the bones, (N, J) their weights and (N, J) costs."""
        robust, trust_NJ = self.spread.robust, self.evidence.trust
        off_NJD = (bones_NJD - self.evidence.bones) / self.evidence.spreads
        far_NJ = np.sqrt(1 + np.square(off_NJD).sum(axis=-1) / robust**2)
        return off_NJD, trust_NJ / far_NJ, trust_NJ * 2 * robust**2 * (far_NJ - 1)

    def _seen(self, points_NJD: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N, J, 2) residuals of the keypoints, (N, J) their weights and (N, J) costs."""
        rays_NJ2 = points_NJD[..., :2] / np.maximum(points_NJD[..., 2:], _NEAREST)
        off_NJ2 = (rays_NJ2 - self.evidence.rays) * (self.evidence.depths / self.spread.keypoint)[:, None, None]
        square_NJ = np.square(off_NJ2).sum(axis=-1)
        wild = (self.spread.wild / self.spread.keypoint) ** 2
        share_NJ = wild / (wild + square_NJ)
        return off_NJ2, self.evidence.scores * share_NJ**2, self.evidence.scores * share_NJ * square_NJ

    def _limits(self, body: Body) -> np.ndarray:
        """(N, 3 H) residuals: bends beyond what is possible, twists beyond it, and twists, which should be few."""
        twists_NH, known_NH = body.twists()
        beyond_NH = (twists_NH - np.clip(twists_NH, -_TWISTS, _TWISTS)) * known_NH
        bent_NH = body.bends - np.clip(body.bends, *BENDS)
        limit, twist = self.spread.limit, self.spread.twist
        return np.concatenate([bent_NH / limit, beyond_NH / limit, twists_NH * known_NH / twist], axis=1)

    def _moving(self, body: Body) -> np.ndarray:
        """(N, R) what should accelerate little, each in standard deviations: bones, axes across them, the root."""
        axes_NRD = (body.orientations()[:, list(_ROLL_AXES)] @ np.array(list(_ROLL_AXES.values()))[..., None])[..., 0]
        s = self.spread
        vectors = body.bones()[:, 1:] / (s.acceleration * _USUAL_J1), axes_NRD / s.roll
        bones, axes = (each.reshape(len(body), -1) for each in vectors)
        return np.concatenate([bones, axes, body.roots / s.root_acceleration], axis=1)

    def _ankles(self, body: Body) -> np.ndarray:
        """(N, 2, 3) where they are, in the camera's frame."""
        return body.joints()[:, _ANKLES] + body.roots[:, None]

    def _add_resting(self, body: Body, blocks: list[np.ndarray], downhill_NU: np.ndarray) -> None:
        """Add to the normal equations what feet that rest ask for: between two frames, their ankles do not move."""
        if not self.held_N2.any():
            return
        by_N2DU, slid_N2D = body.joint_derivatives(_ANKLES), np.diff(self._ankles(body), axis=0)
        by_N2DU[:, :, range(3), range(ROOT.start, ROOT.stop)] += 1
        for foot, held_N in enumerate(self.held_N2.T):
            before, after = by_N2DU[:-1, foot], by_N2DU[1:, foot]
            held_by = held_N[:, None, None] * before.swapaxes(1, 2), held_N[:, None, None] * after.swapaxes(1, 2)
            blocks[0][:-1] += held_by[0] @ before
            blocks[0][1:] += held_by[1] @ after
            blocks[1][:-1] -= held_by[0] @ after
            downhill_NU[:-1] += (held_by[0] @ slid_N2D[:, foot, :, None])[..., 0]
            downhill_NU[1:] -= (held_by[1] @ slid_N2D[:, foot, :, None])[..., 0]

    # Derivatives by the unknowns and residuals, (N, R, U) and (N, R), both times the root of the weight.

    def _bone_rows(self, body: Body, bones_by_NJDU: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        off_NJD, weight_NJ, _ = self._lifted(body.bones())
        root_NJ1 = np.sqrt(weight_NJ)[..., None]
        by_NJDU = bones_by_NJDU * (root_NJ1 / self.evidence.spreads)[..., None]
        return by_NJDU.reshape(len(body), -1, UNKNOWNS), (off_NJD * root_NJ1).reshape(len(body), -1)

    def _keypoint_rows(self, body: Body) -> tuple[np.ndarray, np.ndarray]:
        points_NJD = (body.joints() + body.roots[:, None])[:, SHOWN]
        by_NJDU = body.joint_derivatives(SHOWN)
        by_NJDU[:, :, range(3), range(ROOT.start, ROOT.stop)] += 1
        off_NJ2, weight_NJ, _ = self._seen(body.joints() + body.roots[:, None])
        root_NJ1 = np.sqrt(weight_NJ[:, SHOWN, None])
        depth_NJ1 = np.maximum(points_NJD[..., 2:], _NEAREST)
        scale_NJ1 = (self.evidence.depths / self.spread.keypoint)[:, None, None] * root_NJ1 / depth_NJ1
        rays_NJ2 = points_NJD[..., :2] / depth_NJ1
        by_NJ2U = scale_NJ1[..., None] * (by_NJDU[:, :, :2] - rays_NJ2[..., None] * by_NJDU[:, :, 2:])
        return by_NJ2U.reshape(len(body), -1, UNKNOWNS), (off_NJ2[:, SHOWN] * root_NJ1).reshape(len(body), -1)

    def _limit_rows(self, body: Body) -> tuple[np.ndarray, np.ndarray]:
        off_NR, hinges = self._limits(body), len(HINGED)
        beyond_NR = off_NR[..., None] != 0
        twist_by_NHU = _twist_derivatives(body)
        bent_by_HU = np.zeros((hinges, UNKNOWNS))
        bent_by_HU[range(hinges), range(ROOT.start - hinges, ROOT.start)] = 1
        limit, twist = self.spread.limit, self.spread.twist
        bends = beyond_NR[:, :hinges] * bent_by_HU / limit
        beyond = beyond_NR[:, hinges : 2 * hinges] * twist_by_NHU / limit
        return np.concatenate([bends, beyond, twist_by_NHU / twist], axis=1), off_NR

    def _moving_derivatives(self, body: Body, bones_by_NJDU: np.ndarray) -> np.ndarray:
        s, frames = self.spread, len(body)
        axes_by_NADU = np.zeros((frames, len(_ROLL_AXES), 3, UNKNOWNS))
        orientations_NJDD = body.orientations()
        for place, (joint, axis) in enumerate(_ROLL_AXES.items()):
            axes_by_NADU[:, place, :, turn_of(joint)] = -cross_matrices(orientations_NJDD[:, joint] @ np.array(axis))
        root_by = np.zeros((frames, 3, UNKNOWNS))
        root_by[:, range(3), range(ROOT.start, ROOT.stop)] = 1 / s.root_acceleration
        vectors = bones_by_NJDU[:, 1:] / (s.acceleration * _USUAL_J1)[..., None], axes_by_NADU / s.roll
        bones_by, axes_by = (by.reshape(frames, -1, UNKNOWNS) for by in vectors)
        return np.concatenate([bones_by, axes_by, root_by], axis=1)


def _twist_derivatives(body: Body) -> np.ndarray:
    """(N, H, U) of the twists, times how well they are known, which is held fixed.

    A turn w changes the twist of a bone by w . (b + r) / (1 + b . r), where b is its direction and r that in the rest
    pose: the swing from r to b adds nothing to it.
    """
    orientations_NJDD, (_, known_NH) = body.orientations(), body.twists()
    by_NHU = np.zeros((len(body), len(HINGED), UNKNOWNS))
    for hinge, (upper, trunk) in enumerate(zip(UPPER, TRUNK, strict=True)):
        now, rest = (orientations_NJDD[:, joint] @ REST_HD[hinge] for joint in (upper, trunk))
        rate = (now + rest) / np.maximum(1 + (now * rest).sum(axis=-1, keepdims=True), 0.05) * known_NH[:, hinge, None]
        by_NHU[:, hinge, turn_of(upper)], by_NHU[:, hinge, turn_of(trunk)] = rate, -rate
    return by_NHU
