"""Clip networks over people who have been followed: in one view, or in several views in step.

    alone = replace(networks, clips=None)
    found = [find_people(video, networks=alone) for video in ("front.mp4", "side.mp4")]
    front, side = look_again(found, networks.clips, one_in_each(found))

The moments of several views are the ticks of their common clock (`views/clock.py`). At each, a view shows its nearest
frame; a view that has none there is missing for that moment. Frames stream, one of every view at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidpose.body.skeletons import Skeleton
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.common.errors import VidposeError
from vidpose.common.tally import Progress
from vidpose.keypoints.clips.clip_finder import Appearance, ClipFinder
from vidpose.keypoints.poses import seen_inside
from vidpose.pipeline.choices import Finding
from vidpose.pipeline.finding import find_people
from vidpose.pipeline.networks import Networks
from vidpose.refine.sides import unswap_sides
from vidpose.video import VideoReader
from vidpose.views.clock import synchronise

log = logging.getLogger(__name__)

Person = Sequence[tuple[int, int]]
"""Someone's tracks: number of the view, and id there. Several in one view do not overlap."""


def look_again(
    views: Sequence[PoseResult],
    finder: ClipFinder,
    people: Sequence[Person] | None = None,
    *,
    start: float | None = None,
    end: float | None = None,
    progress: Progress | None = None,
) -> tuple[PoseResult, ...]:
    """The same tracks with the keypoints that a network sees in clips, cut out where the others were found.

    Args:
        views: people of videos that show one scene at the same moments, between `start` and `end`. Their order is the
            order in which the network takes them.
        people: who is who: the tracks of one person are looked at together. None: every track is somebody else's.
        progress: called after every moment, with the number done and of all.

    Returns:
        A result a view. A frame that is nearest at no moment, as there can be where frames come unevenly, has no
        keypoints.

    Raises:
        VidposeError: more views than the network takes, views that are not in step, videos shorter than the network's
            window, or one that cannot be read.
    """
    clock = synchronise([view.source for view in views])
    names = ", ".join(view.source.path for view in views)
    finder.check_clip(names, len(views), int((clock.times >= (start or 0)).sum()))
    for view in views:
        if not view.tracks and any(other.tracks for other in views):
            log.warning("%s: no person found, so the network does without this view", view.source.path)
    if people is None:
        people = [[(v, track.id)] for v, view in enumerate(views) for track in view.tracks]
    shown = [clock.frames_at_moments(v) for v in range(len(views))]
    appearances = [_appearance(person, views, shown) for person in people]
    first = min((person.first for person in appearances), default=0)
    moments = range(first, max((person.end for person in appearances), default=0))
    with ExitStack() as stack:
        pictures = [
            stack.enter_context(closing(_pictures(view.source, frames[first : moments.stop], start, end)))
            for view, frames in zip(views, shown, strict=True)
        ]
        found = finder.follow(_counted(moments, pictures, progress), appearances)
    answers = {
        (v, id_): (appearance.first, keypoints[v], scores[v])
        for person, appearance, (keypoints, scores) in zip(people, appearances, found, strict=True)
        for v, id_ in person
    }
    together = {"in_step": names} if len(views) > 1 else {}
    results = []
    for v, view in enumerate(views):
        moments_of = clock.moments_of_frames(v)
        tracks = (_seen_again(track, moments_of, *answers[v, track.id], view, finder.layout) for track in view.tracks)
        results.append(replace(view, keypoint_layout=finder.layout.name).with_tracks(tuple(tracks), **together))
    return tuple(results)


def find_in_step(videos: Sequence[Path], networks: Networks) -> Sequence[PoseResult]:
    """The most prominent person of each of several videos in step, seen in all of them at once.

    Raises:
        VidposeError: more views than the network takes, or see `look_again`.
    """
    clips = networks.clips
    assert clips is not None
    clips.check_views(", ".join(map(str, videos)), len(videos))
    alone = replace(networks, clips=None)
    found = [find_people(video, Finding(max_people=1), networks=alone) for video in videos]
    return look_again(found, clips, one_in_each(found))


def one_in_each(views: Sequence[PoseResult]) -> list[Person]:
    """Who is who in views that nobody has calibrated: the one person of each is the same.

    Raises:
        VidposeError: there are several people in a view.
    """
    for view in views:
        if len(view.tracks) > 1:
            raise VidposeError(
                f"{view.source.path}: {len(view.tracks)} people, who cannot be told apart across views without "
                "`calibration`; give one, or `max_people=1`"
            )
    person = [(v, view.tracks[0].id) for v, view in enumerate(views) if view.tracks]
    return [person] if person else []


def _appearance(person: Person, views: Sequence[PoseResult], shown: Sequence[np.ndarray]) -> Appearance:
    """Where someone is in every view, from the first moment that shows them to the last."""
    parts = []
    for v, id_ in person:
        track = next(track for track in views[v].tracks if track.id == id_)
        moments = np.flatnonzero((shown[v] >= track.frames[0]) & (shown[v] <= track.frames[-1]))
        parts.append((v, moments, track.boxes[shown[v][moments] - track.frames[0]]))
    all_moments = np.concatenate([moments for _, moments, _ in parts])
    # Whoever is in frames of no moment alone has one moment, out of sight.
    first, last = (all_moments.min(), all_moments.max()) if len(all_moments) else (0, 0)
    boxes = np.full((len(views), last - first + 1, 4), np.nan, np.float32)
    for v, moments, places in parts:
        boxes[v, moments - first] = places
    return Appearance(int(first), boxes)


def _pictures(
    source: Source, shown: np.ndarray, start: float | None, end: float | None
) -> Generator[np.ndarray | None, None, None]:
    """The frames of these numbers, which do not fall; None for -1, and for a frame not between `start` and `end`."""
    with VideoReader(source.path, start=start, end=end, times=source.times) as reader:
        frames = iter(reader)
        frame = next(frames, None)
        for number in shown:
            while frame is not None and frame.index < number:
                frame = next(frames, None)
            yield frame.image if frame is not None and frame.index == number else None


def _counted(
    moments: range,
    pictures: Sequence[Iterator[np.ndarray | None]],
    progress: Progress | None,
) -> Iterator[tuple[int, Sequence[np.ndarray | None]]]:
    for done, (moment, *some) in enumerate(zip(moments, *pictures, strict=True), start=1):
        yield moment, some
        if progress:
            progress(done, len(moments))


def _seen_again(
    track: Track,
    moments_of: np.ndarray,
    first: int,
    keypoints: np.ndarray,
    scores: np.ndarray,
    view: PoseResult,
    layout: Skeleton,
) -> Track:
    """A track with the keypoints found at the moments from `first` on, each frame's at the moment of that frame."""
    moments = moments_of[track.frames]
    is_shown = moments >= 0
    rows = np.where(is_shown, moments - first, 0)
    keypoints = np.where(is_shown[:, None, None], keypoints[rows], np.nan)
    scores = np.where(is_shown[:, None], scores[rows], 0)
    scores = seen_inside(keypoints, scores, (view.source.height, view.source.width))
    keypoints, scores = unswap_sides(keypoints, scores, track.times, layout)
    return Track.of_keypoints(track.id, track.frames, track.times, track.boxes, keypoints, scores)
