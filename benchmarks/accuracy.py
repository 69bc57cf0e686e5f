"""How good lifters are on real video, beside BlazePose's own 3D ("world landmarks", smoothed as it comes).

    python benchmarks/accuracy.py VIDEO... [--lifter single-branch --lifter runs/lstm/weights.safetensors]

For every video, of the 12 limb joints and 8 limb bones: bone-length variation (standard deviation over mean in time,
averaged over bones and people), and jitter (mean acceleration, m/s²). Where reference_3d.npz lies beside a video, a
triangulation, P-MPJPE in millimetres too. vidpose runs with its default smoothing; people are searched once a video.
BlazePose follows one person, and is left out where mediapipe 0.10.21 is not installed. Milliseconds are of lifting and
smoothing, a frame of a person. For the CMU test split there is `vidpose eval --dataset cmu`.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from vidpose.body.skeletons import BLAZEPOSE_33, H36M_17, Skeleton
from vidpose.evaluation.metrics import p_mpjpe
from vidpose.lifters.lifter_table import DEFAULT
from vidpose.lifters.zoo import open_lifter
from vidpose.pipeline.finding import find_people
from vidpose.pipeline.lifting import lift_people
from vidpose.refine.smoothing import Smoothing
from vidpose.video import VideoReader

_SIDES = ("left", "right")
_LIMBS = [("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")]
_BONES = [(f"{side}_{start}", f"{side}_{end}") for side in _SIDES for start, end in _LIMBS]
_JOINTS = sorted({joint for bone in _BONES for joint in bone})

People = Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Of each person: (N,) frame numbers, (N,) seconds, (N, J, 3) metres; NaN where absent."""


def blazepose_world(video: Path) -> People:
    """BlazePose's own 3D, complexity 1, video mode."""
    import mediapipe as mp

    frames, times, rows = [], [], []
    with mp.solutions.pose.Pose(model_complexity=1) as pose, VideoReader(video) as reader:
        for number, frame in enumerate(reader):
            found = pose.process(frame.image).pose_world_landmarks
            rows.append([(p.x, p.y, p.z) for p in found.landmark] if found else np.full((33, 3), np.nan))
            frames.append(number)
            times.append(float(frame.time))
    return [(np.array(frames), np.array(times), np.array(rows))]


def bone_variation(people: People, layout: Skeleton) -> float:
    """Standard deviation of a bone's length over its mean, averaged over bones and people; in per cent."""
    starts, ends = ([layout.index(bone[end]) for bone in _BONES] for end in (0, 1))
    lengths = [np.linalg.norm(joints[:, starts] - joints[:, ends], axis=-1) for _, _, joints in people]
    return 100 * float(np.mean([np.nanstd(person, axis=0) / np.nanmean(person, axis=0) for person in lengths]))


def jitter(people: People, layout: Skeleton) -> float:
    """Mean acceleration in m/s²."""
    limbs = [layout.index(joint) for joint in _JOINTS]
    found = []
    for _, times, joints in people:
        step = np.median(np.diff(times))
        found.append(np.linalg.norm(np.diff(joints[:, limbs], n=2, axis=0), axis=-1).ravel() / step**2)
    return float(np.nanmean(np.concatenate(found)))


def aligned_error(people: People, layout: Skeleton, reference: Path) -> float:
    """P-MPJPE of the first person, millimetres, over the reference's joints."""
    with np.load(reference) as arrays:
        truth, names = arrays["positions"].astype(np.float64), [str(joint) for joint in arrays["joints"]]
    frames, _, joints = people[0]
    joints = joints[:, [layout.index(name) for name in names]].astype(np.float64)
    there = np.isfinite(joints).all(axis=(1, 2))
    return 1000 * float(p_mpjpe(joints[there], truth[frames[there]]).mean())


@click.command()
@click.argument("videos", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--lifter", "lifters", multiple=True, default=(DEFAULT,), show_default=True, metavar="NAME|FILE")
def main(videos: tuple[Path, ...], lifters: tuple[str, ...]) -> None:
    """Print a table a video."""
    for video in videos:
        print(f"{video.parent.name}/{video.name}")
        found, reference = find_people(video), video.parent / "reference_3d.npz"
        methods: list[tuple[str, People, Skeleton]] = []
        if importlib.util.find_spec("mediapipe"):
            methods.append(("BlazePose's own", blazepose_world(video), BLAZEPOSE_33))
        for name in lifters:
            weights, smoothing = open_lifter(name, "cpu"), Smoothing.parse("butterworth:6")
            started = time.monotonic()
            tracks = lift_people(found, weights, smoothing).tracks
            cost = 1000 * (time.monotonic() - started) / sum(map(len, tracks))
            people = [(track.frames, track.times, track.joints) for track in tracks]
            methods.append((f"{name}, {cost:.2f} ms a frame", people, H36M_17))
        for name, people, layout in methods:
            line = f"  {name:60s} bones {bone_variation(people, layout):5.1f} %  jitter {jitter(people, layout):6.2f}"
            if reference.exists():
                line += f"  P-MPJPE {aligned_error(people, layout, reference):6.1f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
