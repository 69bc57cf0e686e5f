"""How far fitted meshes are from the people of the rendered samples, whose bodies are exactly known.

    python benchmarks/mesh.py [--results DIR] [--every 5]

For every person, millimetres, over every fifth frame:

- joints: from the true 17 to the result's, from the root joint; and to those of a mesh that is fitted to the truth;
- vertices: between the mesh that is fitted to the result and the one that is fitted to the true joints, feet and hands
  (MPVE), from the root joint, and brought together in place, direction and size (P-MPVE);
- surface: from the vertices to the surface that was rendered, clothes and shoes included, with the root joint at its
  true place: how far off on average, and how far outside; of the result's mesh and of the truth's.

--results takes NAME.npz that `vidpose infer` wrote before; else the samples are inferred with the defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from angles import person_of
from scipy.spatial.transform import Rotation

from vidpose.body.kinematics import orientations, quaternions_of
from vidpose.body.skeletons import EXTREMITIES_10, H36M_17
from vidpose.body.tracks import PoseResult, Track
from vidpose.body_models.anny_model import anny
from vidpose.body_models.embodying import embody
from vidpose.evaluation.metrics import mpjpe, mpve, p_mpjpe
from vidpose.pipeline.inference import infer
from vidpose.refine.extremities import FOOT, HAND
from vidpose.synth.physique import body as drawn
from vidpose.synth.scenes import ScenePerson, get_scene
from vidpose.synth.shapes import Field
from vidpose.weights.shipped import shipped


def true_track(track: Track, joints: np.ndarray, extremities: np.ndarray) -> Track:
    """A track with the true (N, 17, 3) joints, turned as they and the (N, 10, 3) feet and hands are."""
    turns = orientations(joints, H36M_17)
    for side, mirror in (("left", 1), ("right", -1)):
        for part in (FOOT, HAND):
            end = H36M_17.index(f"{side}_{part.bone[1]}")
            rest = np.array(list(part.points.values())) * (mirror, 1, 1)
            there = extremities[:, [EXTREMITIES_10.index(f"{side}_{point}") for point in part.points]]
            for row, points in enumerate(there - joints[:, [end]]):
                turns[row, end] = Rotation.align_vectors(points, rest)[0].as_matrix()
    return replace(
        track, joints=(joints - joints[:, :1]).astype(np.float32), rotations=quaternions_of(turns).astype(np.float32)
    )


def outside(points: np.ndarray, person: ScenePerson, joints: np.ndarray) -> np.ndarray:
    """(V,) metres from (V, 3) points to the surface of a person with (17, 3) joints in the world; negative inside."""
    fields = [Field(group) for group in drawn(joints, person.look)]
    return np.min([field((points - field.middle).T.astype(np.float32)) for field in fields], axis=0)


def figures(result: PoseResult, video: Path, every: int) -> dict[int, Sequence[float]]:
    """The columns of the table, in metres, by true person."""
    scene = get_scene(video.stem)
    with np.load(video.with_suffix(".truth.npz"), allow_pickle=False) as file:
        truth = dict(file)
    to_camera, world = truth["world_to_camera"], scene.joints()

    def place(points: np.ndarray) -> np.ndarray:
        """Points before the camera, in the world."""
        return (points - to_camera[:, 3]) @ to_camera[:, :3]

    found: dict[int, Sequence[float]] = {}
    for track in result.tracks:
        person = person_of(track, truth["keypoints"])
        joints, ends = (truth[name][person, track.frames].astype(float) for name in ("joints", "extremities"))
        true = true_track(track, joints, ends)
        ours, best = (embody(result.with_tracks((one,)), anny())[track.id] for one in (track, true))
        rows = np.flatnonzero(ours.posed)[::every]
        meshes = [np.stack([one.vertices(row) for row in rows]).astype(float) for one in (ours, best)]
        roots = np.zeros((len(rows), 3))
        off = [
            np.concatenate([
                outside(place(mesh + joint), scene.people[person], world[person, frame])
                for mesh, joint, frame in zip(one, joints[rows, 0], track.frames[rows], strict=True)
            ])
            for one in meshes
        ]  # fmt: skip
        found[person] = [
            mpjpe(track.joints[rows], true.joints[rows]).mean(),
            best.errors[rows].mean(),
            mpve(*meshes, roots, roots).mean(),
            p_mpjpe(*meshes).mean(),
            *(figure for one in off for figure in (np.abs(one).mean(), one.mean())),
        ]
    return found


@click.command()
@click.option("--results", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of NAME.npz.")
@click.option("--every", type=click.IntRange(min=1), default=5, show_default=True, help="Take every Nth frame.")
def main(results: Path | None, every: int) -> None:
    """Compare meshes of the samples with their truth."""
    click.echo(f"{'person':14}   joints  at best     MPVE   P-MPVE  surface  outside  at best  outside")
    for video in sorted(shipped("samples").glob("*.mp4")):
        result = PoseResult.load(results / f"{video.stem}.npz") if results else infer(video, device="cpu")
        for person, columns in sorted(figures(result, video, every).items()):
            click.echo(f"{video.stem} {person + 1}".ljust(14) + "".join(f"{1000 * one:9.1f}" for one in columns))


if __name__ == "__main__":
    main()
