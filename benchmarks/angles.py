"""How far joint angles are from the truth of the rendered samples.

    python benchmarks/angles.py [--results DIR]

For every angle, left and right together: mean absolute difference, mean difference (vidpose minus truth), and root mean
square, in degrees, over all frames of all people. --results takes NAME.npz that `vidpose infer` wrote before; else the
samples are inferred with the defaults.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from vidpose.body.joint_angles import joint_angles, sides, track_angles
from vidpose.body.skeletons import H36M_27, get_conversion
from vidpose.body.tracks import PoseResult, Track
from vidpose.pipeline.inference import infer
from vidpose.weights.shipped import shipped


def person_of(track: Track, keypoints_PTJ2: np.ndarray) -> int:
    """Which of the true people a track is."""
    found, _ = get_conversion("blazepose33", "h36m17")(track.keypoints, track.scores)
    away = np.linalg.norm(found - keypoints_PTJ2[:, track.frames], axis=-1)
    return int(np.nanmedian(away, axis=(1, 2)).argmin())


def differences(result: PoseResult, truth: Path) -> dict[str, np.ndarray]:
    """(N,) degrees by angle, of everybody."""
    with np.load(truth, allow_pickle=False) as file:
        keypoints, joints = file["keypoints"], np.concatenate([file["joints"], file["extremities"]], axis=2)
        up = file["world_to_camera"][:, 2]
    found: dict[str, list[np.ndarray]] = {}
    for track in result.tracks:
        true = joint_angles(joints[person_of(track, keypoints), track.frames], H36M_27, up)
        for name, curve in track_angles(result, track).items():
            found.setdefault(name, []).append(curve - true[name])
    return {name: np.concatenate(parts) for name, parts in found.items()}


@click.command()
@click.option("--results", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of NAME.npz.")
def main(results: Path | None) -> None:
    """Compare the angles of the samples with their truth."""
    gathered: dict[str, list[np.ndarray]] = {}
    for video in sorted(shipped("samples").glob("*.mp4")):
        result = PoseResult.load(results / f"{video.stem}.npz") if results else infer(video, device="cpu")
        for name, values in differences(result, video.with_suffix(".truth.npz")).items():
            gathered.setdefault(name, []).append(values)
    click.echo(f"{'angle':20}  mean abs    mean     rms  values")
    for stem, names in sides(gathered).items():
        values = np.concatenate([part for name in names for part in gathered[name]])
        values = values[np.isfinite(values)]
        rms = np.sqrt(np.square(values).mean())
        click.echo(f"{stem:20} {np.abs(values).mean():9.1f} {values.mean():7.1f} {rms:7.1f} {len(values):7}")


if __name__ == "__main__":
    main()
