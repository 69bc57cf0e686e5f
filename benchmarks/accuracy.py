"""How good a lifter is: on the CMU test split through virtual cameras, and on real video against a triangulation.

    python benchmarks/accuracy.py --lifter single-branch --cmu CMU17_DIR --pose2sim POSE2SIM_DIR

CMU: every test sequence from four virtual cameras of a fixed seed, whole, through the same window runner as
`vidpose infer`, without smoothing; 2D once exact and once from the imitated detector that training uses. Averages are
over frames.

POSE2SIM_DIR holds cam01.mp4, cam02.mp4 and reference_3d.npz. P-MPJPE there is over the 12 limb joints, for vidpose as
it comes and for BlazePose's own 3D ("world landmarks").
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch

from vidpose.datasets.cmu import load_cmu
from vidpose.evaluation.metrics import mpjpe, mpjve, p_mpjpe
from vidpose.lifting import lift
from vidpose.pipeline import infer
from vidpose.skeletons import BLAZEPOSE_33, H36M_17
from vidpose.training.augmentation import Augmentation, detect, view
from vidpose.video import VideoReader
from vidpose.zoo import DEFAULT, load_weights

EXACT = Augmentation(landmark_bias=0.0, jitter=0.0, white=0.0, occluded=0.0, dropped=0.0, unscored=1.0)
CAMERAS = 4


def on_cmu(folder: Path, lifter) -> None:
    motion = load_cmu(folder, "test")
    for name, noise in (("exact 2D", EXACT), ("imitated detector", Augmentation())):
        g = torch.Generator().manual_seed(0)
        errors: dict[str, list[np.ndarray]] = {"MPJPE": [], "P-MPJPE": [], "MPJVE": []}
        for start, end in zip(motion.offsets[:-1], motion.offsets[1:], strict=True):
            world = torch.from_numpy(motion.positions[start:end]).expand(CAMERAS, -1, -1, -1)
            camera, distance = view(world, noise, g)
            seen = detect(camera, distance, torch.full((CAMERAS,), 1 / motion.fps), noise, g).numpy()
            target = (camera - camera[:, :, :1]).double().numpy()
            for keypoints, truth in zip(seen, target, strict=True):
                xy = np.where(keypoints[..., 2:] > 0, keypoints[..., :2], np.nan)
                lifted = lift(lifter, xy, keypoints[..., 2], (1, 1)).astype(np.float64)
                errors["MPJPE"].append(mpjpe(lifted, truth))
                errors["P-MPJPE"].append(p_mpjpe(lifted, truth))
                errors["MPJVE"].append(mpjve(lifted, truth))
        row = "  ".join(f"{metric} {1000 * np.concatenate(values).mean():6.2f} mm" for metric, values in errors.items())
        print(f"CMU test, {name:18}: {row}")


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
@click.option("--lifter", default=DEFAULT, show_default=True)
@click.option("--cmu", type=click.Path(path_type=Path))
@click.option("--pose2sim", type=click.Path(path_type=Path))
def main(lifter: str, cmu: Path | None, pose2sim: Path | None) -> None:
    if cmu:
        on_cmu(cmu, load_weights(lifter).lifter)
    if pose2sim:
        on_pose2sim(pose2sim, lifter)


if __name__ == "__main__":
    main()
