"""A long video in parts, that several workers look at side by side, and whose people are then joined again.

A part begins a little before the last one ends. Who is seen at the same places in both, in those moments, is one
person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np

from vidpose.body.tracks import PoseResult, Track
from vidpose.pipeline.choices import Filming
from vidpose.video import VideoReader

OVERLAP = 2.0
"""Seconds that two parts have in common: so long that who comes in at their seam is surely found by the later one."""

_AGREED = 3
"""Frames in which two parts must see somebody, to be sure that it is one person."""

_APART = 0.15
"""How far apart keypoints of one person may be in two parts: median over the frames, of the diagonal of the box."""

_NEVER = 1e6


@dataclass(frozen=True)
class VideoPart:
    """A part of a video.

    Attributes:
        number: from 1.
        begins: seconds, from which on it counts.
        ends: seconds, before which it ends; None: with the video.
    """

    number: int
    begins: float
    ends: float | None

    @property
    def start(self) -> float | None:
        """Seconds from which on its frames are looked at; None: from the beginning."""
        return max(self.begins - OVERLAP, 0.0) or None


def parts_of(
    video: Path, filming: Filming, seconds: float, start: float | None = None, end: float | None = None
) -> tuple[VideoPart, ...]:
    """The parts of a video, of so many seconds; none where it is too short to have two, or does not say how long it is.

    Args:
        start, end: seconds, between which it is looked at; None: from the beginning, to the end.

    Raises:
        VidposeError: as `VideoReader`.
    """
    with VideoReader(video, fps=filming.fps, slow_motion=filming.slow_motion) as reader:
        if not (reader.fps and reader.num_frames_hint):
            return ()
        length = reader.num_frames_hint / float(reader.fps)
    first = start or 0.0
    length = (length if end is None else min(length, end)) - first
    number = round(length / seconds)  # the last is up to half as long again, or half as short
    if number < 2:
        return ()
    begins = [first + seconds * part for part in range(number)]
    return tuple(VideoPart(row, *ends) for row, ends in enumerate(zip_longest(begins, begins[1:]), start=1))


def join_parts(found: Sequence[PoseResult], parts: Sequence[VideoPart]) -> PoseResult:
    """What was found in a whole video, from what was in its parts.

    Args:
        found: of each part, in order, without 3D joints.
    """
    source = found[-1].source
    cuts: list[int] = []
    people: list[list[Track]] = []
    present: list[list[Track]] = []
    for part, some in zip(parts, found, strict=True):
        seam = int(np.searchsorted(source.times, part.begins))
        cuts += [cut for cut in some.source.cuts if cut >= seam]
        known = _matches([person[-1] for person in present], some.tracks)
        now = []
        for row, track in enumerate(some.tracks):
            if track.frames[-1] < seam:  # the part before saw all of that
                continue
            if row in known:
                person, track = present[known[row]], _since(track, seam)
            else:
                person = []
                people.append(person)
            person.append(track)
            now.append(person)
        present = now
    whole = sorted((_joined(person, source.times) for person in people), key=lambda track: track.frames[0])
    tracks = tuple(replace(track, id=number) for number, track in enumerate(whole, start=1))
    joined = found[-1].with_tracks(tracks, parts=len(found))
    return replace(joined, source=replace(source, cuts=tuple(cuts)))


def _matches(before: Sequence[Track], after: Sequence[Track]) -> dict[int, int]:
    """Row of a track of the later part -> row of the same person's in the earlier one."""
    from scipy.optimize import linear_sum_assignment

    apart = np.array([[_apart(a, b) for b in before] for a in after]).reshape(len(after), len(before))
    rows, columns = linear_sum_assignment(apart)
    return {int(row): int(column) for row, column in zip(rows, columns, strict=True) if apart[row, column] < _APART}


def _apart(a: Track, b: Track) -> float:
    """How far apart the keypoints of two tracks are in the frames of both, in diagonals of a box."""
    _, in_a, in_b = np.intersect1d(a.frames, b.frames, assume_unique=True, return_indices=True)
    both = np.isfinite(a.boxes[in_a]).all(axis=-1) & np.isfinite(b.boxes[in_b]).all(axis=-1)
    in_a, in_b = in_a[both], in_b[both]
    if len(in_a) < _AGREED:
        return _NEVER
    boxes = a.boxes[in_a]
    diagonals = np.linalg.norm(boxes[:, 2:] - boxes[:, :2], axis=-1)
    distances = np.linalg.norm(a.keypoints[in_a] - b.keypoints[in_b], axis=-1)
    ratios = np.nanmedian(distances, axis=-1) / np.maximum(diagonals, 1.0)
    return float(np.nan_to_num(np.median(ratios), nan=_NEVER))


def _since(track: Track, seam: int) -> Track:
    """The frames of a track from one on."""
    first = int(np.searchsorted(track.frames, seam))
    columns = (track.frames, track.times, track.boxes, track.keypoints, track.scores)
    return Track.of_keypoints(track.id, *(column[first:] for column in columns))


def _joined(tracks: Sequence[Track], times: np.ndarray) -> Track:
    """One person's tracks as one: a row a frame, nothing seen between them."""
    frames, boxes, keypoints, scores = (
        np.concatenate([getattr(track, name) for track in tracks])
        for name in ("frames", "boxes", "keypoints", "scores")
    )
    return Track.of_sightings(tracks[0].id, frames, times, boxes, keypoints, scores)
