"""What several views are worth, on synchronised videos with a calibration and a reference.

    python benchmarks/views.py VIDEO... --calibration FILE --reference reference_3d.npz [--hide right_elbow,right_wrist]

The reference has `positions` (N, J, 3) in the calibration's world, metres, and their `joints`. In millimetres, of the
first person whom all views see: P-MPJPE, and MPJPE from the middle of the two hips, of each view by itself and of all
together; then the error in the world, which no alignment flatters. In pixels, the reprojection error of each view.

`--hide` takes joints from the last view, as if something stood before them, and prints how well they are filled, from
the middle of the hips, beside what the other views say of them by themselves. It may be given several times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from vidpose.body.skeletons import get_skeleton
from vidpose.body.tracks import PoseResult, Track
from vidpose.evaluation.metrics import mpjpe, p_mpjpe
from vidpose.lifters.lifter_table import DEFAULT
from vidpose.lifters.zoo import Weights, open_lifter
from vidpose.pipeline.finding import find_people
from vidpose.pipeline.lifting import lift_people
from vidpose.pipeline.view_stage import cameras_of, merge_views
from vidpose.refine.smoothing import Smoothing
from vidpose.views import ViewCamera

_SMOOTHING = Smoothing.parse("butterworth:6")


def without(found: PoseResult, joints: Sequence[str]) -> PoseResult:
    """A view in which nobody's joints of these names are seen."""
    layout = get_skeleton(found.keypoint_layout)
    hidden = [layout.index(joint) for joint in joints]

    def hide(track: Track) -> Track:
        scores = track.scores.copy()
        scores[:, hidden] = 0
        return replace(track, scores=scores)

    return found.with_tracks(tuple(hide(track) for track in found.tracks))


@dataclass(frozen=True)
class Reference:
    """What the answers are compared with: (N, J, 3) metres in the world, and the J joints' names."""

    positions: np.ndarray
    names: tuple[str, ...]

    def distance(self, result: PoseResult, camera: ViewCamera, id_: int) -> float:
        """Metres from somebody's hips to the reference's: whom the reference is of is the nearest."""
        [track] = [track for track in result.tracks if track.id == id_]
        hips = [self.names.index("left_hip"), self.names.index("right_hip")]
        roots = (track.roots - camera.translation) @ camera.rotation
        return float(np.nanmedian(np.linalg.norm(roots - self.positions[track.frames][:, hips].mean(axis=1), axis=-1)))

    def line(self, frames: np.ndarray, joints: np.ndarray, hidden: Sequence[str]) -> str:
        """Errors of joints (M, J, 3), turned into the world's axes but anywhere in it."""
        there = np.isfinite(joints).all(axis=(1, 2))
        hips = [self.names.index("left_hip"), self.names.index("right_hip")]
        found, true = joints[there], self.positions[frames[there]]
        found, true = (points - points[:, hips].mean(axis=1, keepdims=True) for points in (found, true))
        off = 1000 * mpjpe(found, true)
        line = f"P-MPJPE {1000 * p_mpjpe(found, true).mean():6.1f}   MPJPE {off.mean():6.1f}"
        return line + (f"   hidden {off[:, [self.names.index(name) for name in hidden]].mean():6.1f}" if hidden else "")


def compare(
    found: Sequence[PoseResult], cameras: Sequence[ViewCamera], weights: Weights, reference: Reference, hide: str
) -> None:
    """Print a line for each view, and one for all."""
    hidden = hide.split(",") if hide else []
    found = [*found[:-1], without(found[-1], hidden)]
    lifted = [lift_people(some, weights, _SMOOTHING) for some in found]
    merged = merge_views(lifted, cameras, _SMOOTHING)
    shared = set.intersection(*({track.id for track in result.tracks} for result in merged))
    shared = min(shared, key=lambda id_: reference.distance(merged[-1], cameras[-1], id_))
    joints = [weights.lifter.layout.index(name) for name in reference.names]
    print(f"{hide or 'nothing'} hidden from {cameras[-1].name}")
    for view, result, camera in zip(lifted, merged, cameras, strict=True):
        together = next(track for track in result.tracks if track.id == shared)
        alone = max(view.tracks, key=lambda track: np.isin(track.boxes[:, 0], together.boxes[:, 0]).sum())
        line = reference.line(alone.frames, (alone.joints @ camera.rotation)[:, joints].astype(float), hidden)
        print(f"  {camera.name + ' alone':16} {line}   reprojection {result.agreement.reprojection_px:.1f} px, "
              f"{result.agreement.triangulated:.1%} agree")  # fmt: skip
    bodies = merge_views(lifted, cameras, _SMOOTHING, fit=True)[-1].tracks
    body = next(track for track in bodies if track.id == shared)
    for name, track in (("together", together), ("as one body", body)):
        world = ((track.joints + track.roots[:, None] - camera.translation) @ camera.rotation)[:, joints]
        off = 1000 * np.nanmean(np.linalg.norm(world - reference.positions[track.frames], axis=-1))
        line = reference.line(track.frames, world.astype(float), hidden)
        print(f"  {name:16} {line}   in the world {off:.1f}", flush=True)


@click.command()
@click.argument("videos", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--calibration", required=True, type=click.Path(path_type=Path))
@click.option("--reference", "file", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--lifter", default=DEFAULT, show_default=True)
@click.option("--hide", multiple=True, metavar="JOINTS", help="Joints to take from the last view.")
def main(videos: tuple[Path, ...], calibration: Path, file: Path, lifter: str, hide: tuple[str, ...]) -> None:
    """Print the comparison with nothing hidden, and with each set of joints hidden."""
    with np.load(file) as arrays:
        reference = Reference(arrays["positions"].astype(np.float64), tuple(str(joint) for joint in arrays["joints"]))
    cameras, _ = cameras_of(calibration, videos)
    found = [find_people(video) for video in videos]
    for hidden in ("", *hide):
        compare(found, cameras, open_lifter(lifter, "cpu"), reference, hidden)


if __name__ == "__main__":
    main()
