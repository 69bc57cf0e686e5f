"""What the choices of finding people cost, and what they are worth.

    python benchmarks/people.py VIDEO... [--keypoints blazepose-heavy,blazepose-full] [--detect-every auto,5] \
        [--min-score 0.3] [--detector nanodet]

A line for each video and each combination. Of every video:

    people    tracks, and the mean number of people in a frame
    ms        of processor time a frame, with decoding and all that follows people

Of a video with reference_3d.npz beside it (see `fit.py`), also of the person whom that is of:

    swapped   frames in which left and right are exchanged, after they were put right over the track
    PCK       per cent of the joints nearer to where the reference would be seen than 0.2 of the torso
    px        median distance
    P-MPJPE   mm, lifted, smoothed, as one body
"""

from __future__ import annotations

import logging
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import itertools
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from fit import Reference

from vidpose.body.skeletons import H36M_17, get_conversion
from vidpose.body.tracks import PoseResult, Track
from vidpose.evaluation.metrics import p_mpjpe
from vidpose.lifters.lifter_table import DEFAULT
from vidpose.lifters.zoo import open_lifter
from vidpose.pipeline.choices import Finding
from vidpose.pipeline.finding import find_people
from vidpose.pipeline.lifting import lift_people
from vidpose.refine.fit import fit
from vidpose.refine.focal import Lens
from vidpose.refine.place import place
from vidpose.refine.smoothing import Smoothing

_NEAR = 0.2  # of the torso, from shoulder to the hip of the other side


def keypoint_figures(track: Track, layout: str, reference: Reference) -> str:
    """Frames swapped, PCK and median of a track's keypoints; joints that are missing are wrong."""
    seen = get_conversion(layout, H36M_17.name)(track.keypoints, track.scores)[0][:, reference.joints]
    true = reference.pixels[track.frames]
    mirrored = [reference.joints.index(H36M_17.mirror[joint]) for joint in reference.joints]
    apart, turned = (np.linalg.norm(seen - some, axis=-1) for some in (true, true[:, mirrored]))
    torso = reference.torso[track.frames]
    absent = len(reference.pixels) - len(track)
    near = np.concatenate([apart < _NEAR * torso[:, None], np.zeros((absent, apart.shape[1]), bool)])
    swapped = (turned.mean(axis=1) < apart.mean(axis=1)).sum()
    return f"{swapped:7d} {100 * near.mean():6.1f} {np.nanmedian(apart):6.1f}"


def pose_figure(found: PoseResult, lifter: str, reference: Reference) -> str:
    """P-MPJPE of the one track."""
    lifted = fit(place(lift_people(found, open_lifter(lifter, "cpu"), Smoothing.parse("butterworth:6")), Lens()))
    track = lifted.tracks[0]
    rows = track.lifted
    error = p_mpjpe(track.joints[rows][:, reference.joints].astype(float), reference.joints_3d[track.frames[rows]])
    return f"{1000 * error.mean():8.1f}"


def line(video: Path, finding: Finding, lifter: str) -> str:
    """Everything of one video, found in one way."""
    with finding.open("cpu") as networks:
        started = time.process_time()
        found = find_people(video, finding, networks=networks)
        seconds = time.process_time() - started
    frames = found.source.num_frames
    seen = sum(np.isfinite(track.keypoints).all(axis=(1, 2)).sum() for track in found.tracks)
    text = f"{len(found.tracks):6d} {seen / frames:6.2f} {1000 * seconds / frames:6.0f}"
    if (video.parent / "reference_3d.npz").is_file() and found.tracks:
        reference = Reference.beside(video)
        one = found.with_tracks((min(found.tracks, key=reference.away),))
        text += f" {keypoint_figures(one.tracks[0], found.keypoint_layout, reference)}"
        text += f" {pose_figure(one, lifter, reference)}"
    return text


@click.command()
@click.argument("videos", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--detector", "detectors", default=Finding.detector, show_default=True, metavar="NAMES")
@click.option("--keypoints", "networks", default=Finding.keypoints, show_default=True, metavar="NAMES")
@click.option("--detect-every", "intervals", default="auto", show_default=True, metavar="FRAMES", help="auto, 5, ...")
@click.option("--min-score", "scores", default=str(Finding.min_score), show_default=True, metavar="SCORES")
@click.option("--end", type=float, help="Seconds of each video.")
@click.option("--lifter", default=DEFAULT, show_default=True, metavar="NAME|FILE")
def main(
    videos: tuple[Path, ...], detectors: str, networks: str, intervals: str, scores: str, end: float | None, lifter: str
) -> None:
    """Print the table; names and numbers are lists, with commas between."""
    logging.disable(logging.WARNING)
    print(f"{'video':24} {'detector':14} {'keypoints':15} {'every':>5} {'score':>5} people  mean     ms"
          f" swapped    PCK     px  P-MPJPE")  # fmt: skip
    for video in videos:
        for detector, network, every, score in itertools.product(
            *(text.split(",") for text in (detectors, networks, intervals, scores))
        ):
            finding = replace(
                Finding(detector=detector, keypoints=network, min_score=float(score), end=end, threads=1),
                detect_every=None if every == "auto" else int(every),
            )
            text = line(video, finding, lifter)
            print(f"{video.name[-24:]:24} {detector:14} {network:15} {every:>5} {score:>5} {text}", flush=True)


if __name__ == "__main__":
    main()
