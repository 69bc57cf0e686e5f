"""Everything that needs pictures: people followed through a video, with their 2D keypoints."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from vidpose import __version__
from vidpose.body.skeletons import Skeleton
from vidpose.body.tracks import PoseResult, Track
from vidpose.pipeline.choices import Filming, Finding, Progress
from vidpose.pipeline.networks import Networks
from vidpose.pipeline.people_finder import PeopleFinder, Sighting
from vidpose.refine.sides import unswap_sides
from vidpose.video import VideoReader
from vidpose.video.ahead import Ahead
from vidpose.video.shots import GivenCuts, ShotFinder, load_cuts

log = logging.getLogger(__name__)


_DEFAULTS, _AS_FILMED = Finding(), Filming()


def find_people(
    video: str | Path,
    finding: Finding = _DEFAULTS,
    *,
    filming: Filming = _AS_FILMED,
    networks: Networks | None = None,
    progress: Progress | None = None,
) -> PoseResult:
    """The first half of a job: tracks with 2D keypoints, and no 3D joints yet.

    Args:
        video: a video file, or a folder of images.
        finding: who is looked for, and when; its networks are not opened here.
        filming: how the pictures were taken.
        networks: that find people and their keypoints; None: the default ones, opened here.
        progress: called after every frame.

    Raises:
        UsageError, VidposeError: as `Job.run`.
    """
    start, end = finding.start, finding.end
    with (
        VideoReader(video, start=start, end=end, fps=filming.fps, slow_motion=filming.slow_motion) as reader,
        PeopleFinder(
            finding.max_people, finding.min_score, networks=networks, detect_every=finding.detect_every
        ) as finder,
    ):
        shots = _shots_of(finding, finder.networks.detector.gives_ids)
        sightings = _sightings(reader, shots, finder, progress)
        confirmed = finder.confirmed
    source = replace(reader.source(), cuts=tuple(shots.cuts))
    people = {
        id_: [row for row in rows if source.times[row[0]] <= finder.gone_since(id_)]
        for id_, rows in sightings.items()
        if id_ in confirmed
    }
    if source.truncated:
        log.warning("%s: ends early or is damaged; used the %d frames that could be decoded", video, source.num_frames)
    detector, layout = finder.networks.detector, finder.networks.keypoints.layout
    if end is None:
        detector.check_length(source.num_frames)
    # The ids of people who turned out to be nobody leave gaps; those of a file are its own.
    numbers = people if detector.gives_ids else range(1, len(people) + 1)
    tracks = tuple(
        _track(number, rows, source.times, layout) for number, rows in zip(numbers, people.values(), strict=True)
    )
    provenance = {
        "vidpose": __version__,
        **finder.networks.provenance,
        "detect_every": finding.detect_every,
        "min_score": finding.min_score,
        "fps": filming.fps,
        "slow_motion": filming.slow_motion if filming.slow_motion != 1 else None,
        "max_people": finding.max_people,
    }
    found = PoseResult(source, tracks, layout.name, "", provenance)
    if finder.networks.clips is None:
        return found
    from vidpose.pipeline.clip_stage import look_again

    return look_again([found], finder.networks.clips, start=start, end=end, progress=progress)[0]


def _sightings(
    reader: VideoReader, shots: ShotFinder, finder: PeopleFinder, progress: Progress | None
) -> dict[int, list[tuple[int, Sighting]]]:
    """Everyone in every frame: by id, the numbers of the frames and what was seen in each."""
    sightings: dict[int, list[tuple[int, Sighting]]] = {}
    with closing(Ahead(shots(reader))) as ahead:
        done, frames = 0, iter(ahead)
        while batch := list(islice(frames, finder.networks.batch)):
            finder.look_ahead([frame.image for frame, _ in batch], [frame.index for frame, _ in batch])
            for frame, begins_anew in batch:
                if begins_anew:
                    finder.begin_anew()
                for sighting in finder.step(frame.image, frame.time, frame.index):
                    sightings.setdefault(sighting.id, []).append((frame.index, sighting))
                done += 1
                if progress:
                    progress(done, reader.num_frames_hint)
    return sightings


def _shots_of(finding: Finding, has_ids: bool) -> ShotFinder:
    """What says where shots begin; boxes with ids say themselves who is who."""
    if finding.cuts == "none" or (finding.cuts == "auto" and has_ids):
        return ShotFinder(GivenCuts())
    return ShotFinder(None if finding.cuts == "auto" else load_cuts(Path(finding.cuts)))


def _track(number: int, sightings: list[tuple[int, Sighting]], times: np.ndarray, layout: Skeleton) -> Track:
    """Sightings of one person as a track with a row a frame, NaN where not seen."""
    frames = np.arange(sightings[0][0], sightings[-1][0] + 1)
    boxes = np.full((len(frames), 4), np.nan, np.float32)
    keypoints = np.full((len(frames), len(layout), 2), np.nan, np.float32)
    scores = np.zeros((len(frames), len(layout)), np.float32)
    for frame, sighting in sightings:
        row = frame - frames[0]
        boxes[row], keypoints[row], scores[row] = sighting.box, sighting.keypoints, sighting.scores
    keypoints, scores = unswap_sides(keypoints, scores, times[frames], layout)
    return Track.of_keypoints(number, frames, times[frames], boxes, keypoints, scores)
