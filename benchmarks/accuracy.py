"""How good a lifter is on real video, against a triangulation.

    python benchmarks/accuracy.py POSE2SIM_DIR [--lifter single-branch]

POSE2SIM_DIR holds cam01.mp4, cam02.mp4 and reference_3d.npz. P-MPJPE is over the 12 limb joints, for vidpose as it
comes and for BlazePose's own 3D ("world landmarks"). For the CMU test split there is `vidpose eval --dataset cmu`.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from vidpose.evaluation.metrics import p_mpjpe
from vidpose.pipeline import infer
from vidpose.skeletons import BLAZEPOSE_33, H36M_17
from vidpose.video import VideoReader
from vidpose.zoo import DEFAULT


def blazepose_world(video: Path) -> np.ndarray:
    """(F, 33, 3) BlazePose's own 3D, complexity 1, video mode; NaN where it saw nobody."""
    import mediapipe as mp

    rows = []
    with mp.solutions.pose.Pose(model_complexity=1) as pose, VideoReader(video) as reader:
        for frame in reader:
            found = pose.process(frame.image).pose_world_landmarks
            rows.append([(p.x, p.y, p.z) for p in found.landmark] if found else np.full((33, 3), np.nan))
    return np.array(rows)


def on_pose2sim(folder: Path, lifter: str) -> None:
    with np.load(folder / "reference_3d.npz") as reference:
        truth, joints = reference["positions"].astype(np.float64), [str(joint) for joint in reference["joints"]]
    ours = [H36M_17.index(joint) for joint in joints]
    theirs = [BLAZEPOSE_33.index(joint) for joint in joints]
    for camera in ("cam01", "cam02"):
        video = folder / f"{camera}.mp4"
        line = f"pose2sim {camera}: P-MPJPE"
        for smooth in ("none", "butterworth:6"):
            track = infer(video, lifter=lifter, smooth=smooth, device="cpu").tracks[0]
            lifted = track.joints[:, ours].astype(np.float64)
            there = np.isfinite(lifted).all(axis=(1, 2))
            error = p_mpjpe(lifted[there], truth[track.frames[there]])
            line += f"  {smooth} {1000 * error.mean():.1f} mm ({there.sum()} frames)"
        world = blazepose_world(video)[:, theirs]
        there = np.isfinite(world).all(axis=(1, 2))
        print(f"{line}  BlazePose's own {1000 * p_mpjpe(world[there], truth[there]).mean():.1f} mm ({there.sum()})")


@click.command()
@click.argument("folder", metavar="POSE2SIM_DIR", type=click.Path(exists=True, path_type=Path))
@click.option("--lifter", default=DEFAULT, show_default=True)
def main(folder: Path, lifter: str) -> None:
    on_pose2sim(folder, lifter)


if __name__ == "__main__":
    main()
