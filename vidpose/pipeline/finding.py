"""Everything that needs pictures: people followed through a video, with their 2D keypoints."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from math import inf
from pathlib import Path

import numpy as np

from vidpose import __version__
from vidpose.body.skeletons import Skeleton
from vidpose.body.tracks import PoseResult, Track
from vidpose.common.inputs import reading
from vidpose.common.tally import Progress
from vidpose.pipeline.choices import Filming, Finding
from vidpose.pipeline.followers import Sighting
from vidpose.pipeline.keeping import Keeping, Rows, Segment, SegmentFacts, search_of
from vidpose.pipeline.networks import Networks
from vidpose.pipeline.people_finder import PeopleFinder
from vidpose.refine.sides import unswap_sides
from vidpose.video import VideoFrame, VideoReader
from vidpose.video.ahead import Ahead
from vidpose.video.shots import LOOKS_BACK, GivenCuts, ShotFinder, load_cuts

log = logging.getLogger(__name__)


_DEFAULTS, _AS_FILMED = Finding(), Filming()


def find_people(
    video: str | Path,
    finding: Finding = _DEFAULTS,
    *,
    filming: Filming = _AS_FILMED,
    networks: Networks | None = None,
    progress: Progress | None = None,
    keeping: Keeping | None = None,
) -> PoseResult:
    """The first half of a job: tracks with 2D keypoints, and no 3D joints yet.

    Args:
        video: a video file, or a folder of images.
        finding: who is looked for, and when; its networks are not opened here.
        filming: how the pictures were taken.
        networks: that find people and their keypoints; None: the default ones, opened here.
        progress: called after every frame.
        keeping: where segments of the search are kept as it goes on, and may be gone on from; None: nowhere.

    Raises:
        UsageError, VidposeError: as `Job.run`.
    """
    start, end = finding.start, finding.end
    search = search_of(Path(video), finding, filming) if keeping else {}
    before = keeping.so_far(search) if keeping else []
    since = before[-1].facts.since if before else start
    with (
        VideoReader(
            video, start=since, end=end, fps=filming.fps, slow_motion=filming.slow_motion, hwaccel=finding.hwaccel
        ) as reader,
        PeopleFinder(
            finding.max_people, finding.min_score, networks=networks, detect_every=finding.detect_every
        ) as finder,
    ):
        shots = _shots_of(finding, finder.networks.detector.gives_ids)
        if keeping and before:
            with reading(keeping.folder, "segments of this search", "leave out `resume`, and it begins anew"):
                finder.restore(before[-1].state)
        following = _Following(reader, shots, finder, before, start or 0.0)
        seconds = keeping.seconds if keeping else inf
        for number, segment in enumerate(following.segments(seconds, progress), start=len(before) + 1):
            if keeping:
                keeping.add(number, segment, search)
    source = replace(reader.source(), cuts=tuple(following.cuts))
    if source.truncated:
        log.warning("%s: ends early or is damaged; used the %d frames that could be decoded", video, source.num_frames)
    if end is None:
        finder.networks.detector.check_length(source.num_frames)
        if finding.cuts not in ("auto", "none"):
            load_cuts(Path(finding.cuts)).check_length(finding.cuts, source.times)
    tracks = _tracks(following.everyone(), source.times, finder)
    provenance = {
        "vidpose": __version__,
        **finder.networks.provenance,
        "detect_every": finding.detect_every,
        "min_score": finding.min_score,
        "fps": _plain(filming.fps),
        "slow_motion": _plain(filming.slow_motion) if filming.slow_motion != 1 else None,
        "max_people": finding.max_people,
        "hwaccel": finding.hwaccel if finding.hwaccel != Finding.hwaccel else None,
    }
    found = PoseResult(source, tracks, finder.networks.keypoints.layout.name, "", provenance)
    if finder.networks.clips is None:
        return found
    from vidpose.pipeline.clip_stage import look_again

    return look_again([found], finder.networks.clips, start=start, end=end, progress=progress)[0]


class _Following:
    """Everyone followed through a video, from its beginning or from the end of what was done before.

    Attributes:
        cuts: numbers of the frames that shots begin with.
    """

    def __init__(
        self, reader: VideoReader, shots: ShotFinder, finder: PeopleFinder, before: Sequence[Segment], start: float
    ) -> None:
        self._reader, self._shots, self._finder, self._start = reader, shots, finder, start
        self._parts = [segment.rows for segment in before]
        self.cuts: list[int] = []
        self._last, self._done = -1, 0
        self._kept = before[-1].facts.last if before else -1
        if before:
            facts = before[-1].facts
            self._last, self._done, self.cuts = facts.last, facts.done, [*facts.cuts]

    def segments(self, seconds: float, progress: Progress | None) -> Iterator[Segment]:
        """Look at every frame that nobody has looked at; gives each segment when it is whole.

        Args:
            seconds: of video in a segment.
            progress: called after every frame.
        """
        seen: list[tuple[int, Sighting]] = []
        done_before, ends = self._done, None
        with closing(Ahead(self._shots(self._reader))) as ahead:
            frames = (item for item in ahead if item[0].index > self._last)
            while batch := list(islice(frames, self._finder.networks.batch)):
                ends = batch[0][0].time + seconds if ends is None else ends
                seen += self._step(batch, progress)
                if batch[-1][0].time >= ends:
                    yield self._segment(seen)
                    done_before, seen, ends = self._done, [], None
        if self._done > done_before or not self._parts:
            yield self._segment(seen)

    def everyone(self) -> Rows:
        """All who were seen, in order; the segments are given up for it."""
        rows = Rows.joined(self._parts)
        self._parts.clear()
        return rows

    def _step(
        self, batch: Sequence[tuple[VideoFrame, bool]], progress: Progress | None
    ) -> Iterator[tuple[int, Sighting]]:
        self._finder.look_ahead([frame.image for frame, _ in batch], [frame.index for frame, _ in batch])
        for frame, begins_anew in batch:
            if begins_anew:
                self._finder.begin_anew()
            for sighting in self._finder.step(frame.image, frame.time, frame.index):
                yield frame.index, sighting
            self._last, self._done = frame.index, self._done + 1
            if progress:
                progress(self._done, self._reader.num_frames_hint)

    def _segment(self, seen: Sequence[tuple[int, Sighting]]) -> Segment:
        last = self._last
        # Of frames that were looked at before, what is kept holds: less is known about them now.
        known = max([self._kept, *self.cuts[-1:]])
        self.cuts += [cut for cut in self._shots.cuts if known < cut <= last]
        rows = Rows.of(seen, len(self._finder.networks.keypoints.layout))
        self._parts.append(rows)
        since = self._reader.times[max(last - LOOKS_BACK, 0)]
        if (lit := self._shots.seen_last(last)) is not None:
            since = min(since, lit)
        since = max(since, self._start)
        return Segment(SegmentFacts(last, self._done, since, [*self.cuts]), rows, self._finder.state())


def _shots_of(finding: Finding, has_ids: bool) -> ShotFinder:
    """What says where shots begin; boxes with ids say themselves who is who."""
    if finding.cuts == "none" or (finding.cuts == "auto" and has_ids):
        return ShotFinder(GivenCuts())
    return ShotFinder(None if finding.cuts == "auto" else load_cuts(Path(finding.cuts)))


def _tracks(rows: Rows, times: np.ndarray, finder: PeopleFinder) -> tuple[Track, ...]:
    """Everyone who turned out to be somebody, in order of appearance, at the end of the video."""
    confirmed, layout = finder.confirmed, finder.networks.keypoints.layout
    people = [id_ for id_ in dict.fromkeys(rows.ids.tolist()) if id_ in confirmed]
    # The ids of people who turned out to be nobody leave gaps; those of a file are its own.
    numbers = people if finder.networks.detector.gives_ids else range(1, len(people) + 1)
    tracks = []
    for number, id_ in zip(numbers, people, strict=True):
        own = (rows.ids == id_) & (times[rows.frames] <= finder.gone_since(id_))
        tracks.append(_track(number, rows.where(own), times, layout))
    return tuple(tracks)


def _track(number: int, rows: Rows, times: np.ndarray, layout: Skeleton) -> Track:
    """Rows of one person as a track with a row a frame, NaN where not seen."""
    track = Track.of_sightings(number, rows.frames, times, rows.boxes, rows.keypoints, rows.scores)
    keypoints, scores = unswap_sides(track.keypoints, track.scores, track.times, layout)
    return replace(track, keypoints=keypoints, scores=scores)


def _plain(rate: float | Fraction | None) -> float | str | None:
    """As a file holds it: a fraction is a text."""
    return str(rate) if isinstance(rate, Fraction) else rate
