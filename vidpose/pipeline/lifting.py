"""Everything after the pictures: 3D joints for people who have been followed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vidpose.body.skeletons import Conversion, Skeleton, get_conversion, get_skeleton
from vidpose.body.stretches import MAX_GAP, bridgeable, unbroken
from vidpose.body.tracks import PoseResult, Track
from vidpose.common.errors import VidposeError
from vidpose.common.tally import Progress, Tally
from vidpose.lifters.running import Advance, doubts_of, lift
from vidpose.lifters.zoo import Weights
from vidpose.refine.completing import complete
from vidpose.refine.gaps import fill_gaps
from vidpose.refine.smoothing import Smoothing

if TYPE_CHECKING:
    from vidpose.lifters import Lifter
    from vidpose.lifters.graph_lifter import GraphLifter

log = logging.getLogger(__name__)

_FEW = 0.4
"""A share of the frames that a lifter knows, with which it is far from what it has seen: below 20 a second of 50."""

_GUESS = 0.05
"""The score that a lifter is told of a joint that is guessed: the least that `ImitatedDetector` gives in training."""


_FAR = 1e3
"""Metres from the root, that no joint is away."""


def lift_people(
    found: PoseResult,
    weights: Weights[Lifter | GraphLifter],
    smoothing: Smoothing,
    *,
    max_gap: float = MAX_GAP,
    progress: Progress | None = None,
) -> PoseResult:
    """The second half of `infer`: 3D joints for tracks that have 2D keypoints, whatever found them.

    Joints of a lifter that is not told where people stand are in the frames of the rays to them, until `place` or
    `merge_views` turn them into the camera's.

    Args:
        max_gap: seconds; an absence up to this long is filled.
        progress: called with the poses lifted so far, and all there are.
    """
    size = found.source.width, found.source.height
    lift_track = TrackLifter(weights, get_skeleton(found.keypoint_layout), size, smoothing, max_gap)
    for one in weights.each:
        _warn_of_rate(one, found.source.times)
    tracks, tally = [], Tally(sum(map(len, found.tracks)), progress)
    for track in found.tracks:
        tracks.append(lift_track(track, tally.add))
        tally.finish(len(track))
    plain = replace(found, camera=None, placing=None, agreement=None)
    lifter, conversion = weights.lifter, lift_track.conversion
    half = {"precision": "bfloat16"} if lifter.half_products else {}
    return replace(plain, joint_layout=lifter.layout.name, in_ray_frame=lifter.in_ray_frame).with_tracks(
        tuple(tracks),
        lifter=weights.name,
        arch="+".join(one.lifter.name for one in weights.each),
        weights_sha256=weights.sha256,
        conversion=conversion.name if conversion else None,
        smoothing=str(smoothing),
        max_gap_seconds=max_gap,
        **half,
    )


class TrackLifter:
    """3D joints for one track after the other, of a video or of a camera's last frames.

    Args:
        weights: of the lifter, or of several, whose answers are averaged.
        seen_as: layout of the tracks' keypoints.
        size: (width, height) pixels of the picture.
        smoothing, max_gap: as of `lift_people`.

    Raises:
        UsageError: the lifter takes, or answers for, joints that cannot be made from these.
    """

    def __init__(
        self,
        weights: Weights[Lifter | GraphLifter],
        seen_as: Skeleton,
        size: tuple[int, int],
        smoothing: Smoothing,
        max_gap: float = MAX_GAP,
    ) -> None:
        self.weights, self.lifter = weights, weights.lifter
        self.conversion = conversion_for(self.lifter, seen_as)
        self._for_answer = conversion_to(self.lifter.layout, seen_as)
        self._taken = self.conversion.target if self.conversion else seen_as
        self._size, self._smoothing, self._max_gap = size, smoothing, max_gap
        self._doubts = all(one.lifter.config.doubt for one in weights.each)
        trained_on = [one.about.get("conversion") for one in weights.each]
        if self.conversion and set(trained_on) != {self.conversion.name}:
            log.warning(
                "%s was trained on keypoints from %s, not from %s; expect larger errors",
                weights.name, trained_on[0] or "another detector", self.conversion.name,
            )  # fmt: skip

    def __call__(self, track: Track, add: Callable[[float], None] = lambda poses: None) -> Track:
        """The track with joints, and without what was found out about an earlier lifting.

        Args:
            add: called with the number of rows that were lifted, part by part.

        Raises:
            VidposeError: the weights give what no body can be.
        """
        size, max_gap = self._size, self._max_gap
        keypoints, scores = track.keypoints, track.scores
        if self.conversion:
            keypoints, scores = self.conversion(keypoints, scores)
        # A joint beyond the edge of the picture is guessed, and scores 0. Lifters learned from guesses, of low scores.
        is_outside = ((keypoints < 0) | (keypoints > size)).any(axis=-1)
        told = np.where(is_outside & track.seen[:, None], np.maximum(scores, _GUESS), scores)
        joint_scores = self._for_answer(track.keypoints, track.scores)[1] if self._for_answer else track.scores
        joints = np.full((*joint_scores.shape, 3), np.nan, np.float32)
        doubts = np.full((len(track), joints.shape[1] if self._doubts else 0, 2), np.nan, np.float32)
        for part in unbroken(bridgeable(track.seen, track.times, max_gap), track.times, max_gap):
            whole, rows = complete(keypoints[part], track.times[part], self._taken), part.stop - part.start

            def advance(share: float, rows: int = rows) -> None:
                add(share * rows)

            lifted, doubted = self._answer(whole, told[part], track.times[part], track.seen[part], advance)
            lifted[~track.seen[part]], doubted[~track.seen[part]] = np.nan, np.nan
            times = track.times[part]
            doubts[part] = fill_gaps(doubted, times, max_gap)
            joints[part] = self._smoothing(fill_gaps(lifted, times, max_gap), times)
        found_only = Track.of_keypoints(track.id, track.frames, track.times, track.boxes, track.keypoints, track.scores)
        return replace(found_only, joints=joints, joint_scores=joint_scores, doubts=doubts)

    def _answer(
        self, keypoints: np.ndarray, scores: np.ndarray, times: np.ndarray, seen: np.ndarray, advance: Advance
    ) -> tuple[np.ndarray, np.ndarray]:
        """Joints and doubts of an unbroken stretch, as `lift` and `doubts_of` give them: means over the lifters."""
        each, size = self.weights.each, self._size
        joints, doubts = [], []
        for one in each:
            lifted = lift(
                one.lifter, keypoints, scores, size, whole=True, times=times,
                advance=lambda share: advance(share / len(each)),
            )  # fmt: skip
            if not (np.abs(lifted[seen]) <= _FAR).all():
                raise VidposeError(
                    f"{one.name}: answers with joints that cannot be; the weights are damaged, or their training "
                    "diverged"
                )
            joints.append(lifted)
            if self._doubts:
                doubts.append(doubts_of(one.lifter, keypoints, scores, size, lifted))
        nothing = np.empty((len(times), 0, 2), np.float32)
        return np.mean(joints, axis=0), np.mean(doubts, axis=0) if doubts else nothing


def _warn_of_rate(weights: Weights[Lifter | GraphLifter], times: np.ndarray) -> None:
    """Warn where a video has far fewer frames a second than a lifter learned from, or far more than it can be told."""
    config = weights.lifter.config
    if config.frames == 1 or len(times) < 2:
        return
    # What is not told otherwise learned from Human3.6M or CMU-17, which both have 50 frames a second.
    known, rate = config.fps or 50.0, 1 / float(np.median(np.diff(times)))
    if rate < known * _FEW or (not config.fps and rate > known / _FEW):
        log.warning(
            "the video has %.3g frames a second, and %s learned from %.3g; expect larger errors where people move fast",
            rate, weights.name, known,
        )  # fmt: skip


def conversion_for(lifter: Lifter | GraphLifter, layout: Skeleton) -> Conversion | None:
    """From keypoints in a layout to those that the lifter takes; None where they are the same.

    Raises:
        UsageError: the lifter takes, or answers for, joints that cannot be made from these.
    """
    conversion_to(lifter.layout, layout)
    return conversion_to(lifter.input_layout, layout)


def conversion_to(target: Skeleton, layout: Skeleton) -> Conversion | None:
    """From joints in a layout to another; None where they are the same. Raises UsageError where there is no way."""
    return None if layout == target else get_conversion(layout.name, target.name)
