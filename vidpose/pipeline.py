"""The chain: video -> people and 2D keypoints -> tracks -> 3D -> smooth 3D. Frames stream; tracks are small."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from vidpose import __version__
from vidpose.devices import choose_device
from vidpose.errors import VidposeError
from vidpose.lifters import Lifter
from vidpose.lifting import lift
from vidpose.networks import Networks
from vidpose.people_stage import PeopleFinder, Sighting
from vidpose.refine import Smoothing, bridgeable, fill_gaps, place, stretches, unswap_sides
from vidpose.refine.scale import Heights
from vidpose.skeletons import Conversion, Skeleton, get_conversion, get_skeleton
from vidpose.tracks import PoseResult, Track
from vidpose.video import VideoReader
from vidpose.video.lens import stated_fov
from vidpose.zoo import DEFAULT, Weights, load_weights

log = logging.getLogger(__name__)

Progress = Callable[[int, int | None], None]
"""Called with the number of frames done, and the number expected, which is a hint or None."""


def infer(
    video: str | Path,
    *,
    lifter: str | Path = DEFAULT,
    networks: Networks | None = None,
    detect_every: int | None = None,
    device: str = "auto",
    smooth: str = "butterworth:6",
    max_gap: float = 0.5,
    start: float | None = None,
    end: float | None = None,
    max_people: int | None = None,
    min_score: float = 0.3,
    fov: float | None = None,
    focal: float | None = None,
    height: Heights | None = None,
    fit: bool = True,
    ground: bool = False,
    progress: Progress | None = None,
) -> PoseResult:
    """3D skeletons of everyone in a video.

    Args:
        video: a video file, or a folder of images.
        lifter: name of shipped weights, or a .safetensors file.
        networks: that find people and their 2D keypoints (`open_networks`); None: BlazePose's.
        detect_every: frames from one run of the detector to the next; None: as suits it (`PeopleFinder`).
        device: `auto`, `cpu`, `cuda` or `cuda:N`, for the lifter.
        smooth: `METHOD` or `METHOD:PARAMETER`: butterworth (Hz), savgol (seconds), one-euro (Hz) or none.
        max_gap: seconds; an absence up to this long is filled, a longer one stays empty.
        start, end: seconds; only frames with start <= time < end.
        max_people: at most so many people, the most prominent ones; None for all.
        min_score: least mean keypoint score of a person, 0 to 1.
        fov, focal: of the lens, degrees along the picture's longer side, or pixels; None: as the video states, or 60
            degrees.
        height: metres that people are tall, of all or by id; None: the lifter's own metres.
        fit: make each person one body, of bones that keep their lengths.
        ground: look for the floor.
        progress: called after every frame.

    Returns:
        The people with 2D keypoints, root-relative 3D joints and root paths in metres; no tracks when nobody was found.

    Raises:
        UsageError: an option that cannot be.
        VidposeError: the video or the weights cannot be read.
    """
    smoothing, weights = Smoothing.parse(smooth), load_weights(lifter)
    device = choose_device(device)
    found = find_people(
        video, networks=networks, detect_every=detect_every, start=start, end=end, max_people=max_people,
        min_score=min_score, progress=progress,
    )  # fmt: skip
    lifted = lift_people(found, weights, smoothing, max_gap=max_gap, device=device)
    return place(lifted, fov=fov, focal=focal, stated_fov=stated_fov(video), height=height, fit=fit, ground=ground)


def find_people(
    video: str | Path,
    *,
    networks: Networks | None = None,
    detect_every: int | None = None,
    start: float | None = None,
    end: float | None = None,
    max_people: int | None = None,
    min_score: float = 0.3,
    progress: Progress | None = None,
) -> PoseResult:
    """The first half of `infer`: tracks with 2D keypoints, and no 3D joints yet."""
    with (
        VideoReader(video, start=start, end=end) as reader,
        PeopleFinder(max_people, min_score, networks=networks, detect_every=detect_every) as finder,
    ):
        sightings: dict[int, list[tuple[int, Sighting]]] = {}
        done, frames = 0, iter(reader)
        while batch := list(islice(frames, finder.networks.batch)):
            finder.look_ahead([frame.image for frame in batch], [frame.index for frame in batch])
            for frame in batch:
                for sighting in finder.step(frame.image, frame.time, frame.index):
                    sightings.setdefault(sighting.id, []).append((frame.index, sighting))
                done += 1
                if progress:
                    progress(done, reader.num_frames_hint)
        confirmed = finder.confirmed
    people = {id_: rows for id_, rows in sightings.items() if id_ in confirmed}
    source = reader.source()
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
        "detect_every": detect_every,
        "min_score": min_score,
        "max_people": max_people,
    }
    found = PoseResult(source, tracks, layout.name, "", provenance)
    if finder.networks.clips is None:
        return found
    from vidpose.clips_stage import look_again  # which BlazePose need not wait for

    return look_again([found], finder.networks.clips, start=start, end=end, progress=progress)[0]


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


def lift_people(
    found: PoseResult, weights: Weights, smoothing: Smoothing, *, max_gap: float = 0.5, device: str = "cpu"
) -> PoseResult:
    """The second half of `infer`: 3D joints for tracks that have 2D keypoints, whatever found them."""
    lifter = weights.lifter.to(device)
    conversion = conversion_for(lifter, get_skeleton(found.keypoint_layout))
    trained_on = weights.about.get("conversion")
    if conversion and conversion.name != trained_on:
        log.warning(
            "%s was trained on keypoints from %s, not from %s; expect larger errors",
            weights.name, trained_on, conversion.name,
        )  # fmt: skip
    size = (found.source.width, found.source.height)
    tracks = []
    for track in found.tracks:
        keypoints, scores = conversion(track.keypoints, track.scores) if conversion else (track.keypoints, track.scores)
        joints = np.full((*scores.shape, 3), np.nan, np.float32)
        for part in stretches(bridgeable(track.seen, track.times, max_gap)):
            lifted = lift(lifter, keypoints[part], scores[part], size)
            lifted[~track.seen[part]] = np.nan
            times = track.times[part]
            joints[part] = smoothing(fill_gaps(lifted, times, max_gap), times)
        # What was found out about an earlier lifting does not hold for this one.
        plain = Track.of_keypoints(track.id, track.frames, track.times, track.boxes, track.keypoints, track.scores)
        tracks.append(replace(plain, joints=joints, joint_scores=scores))
    return replace(found, joint_layout=lifter.layout.name, camera=None).with_tracks(
        tuple(tracks),
        lifter=weights.name,
        arch=lifter.name,
        weights_sha256=weights.sha256,
        conversion=conversion.name if conversion else None,
        smoothing=str(smoothing),
        max_gap_seconds=max_gap,
    )


def conversion_for(lifter: Lifter, layout: Skeleton) -> Conversion | None:
    """From keypoints in a layout to those that the lifter takes; None where they are the same.

    Raises:
        UsageError: the lifter has joints that cannot be made from these.
    """
    return None if layout == lifter.layout else get_conversion(layout.name, lifter.layout.name)


def load_found(path: Path) -> PoseResult:
    """A saved result, for its 2D keypoints.

    Raises:
        VidposeError: it is none, or its layout is unknown.
    """
    result = PoseResult.load(path)
    sizes = {len(get_skeleton(result.keypoint_layout))} | {track.scores.shape[1] for track in result.tracks}
    if len(sizes) > 1:
        raise VidposeError(f"{path}: its tracks do not have the joints of layout {result.keypoint_layout!r}")
    return result
