"""What fitting a body does to lifted joints: before and after, against what is known.

    python benchmarks/fit.py [--cmu data/cmu] [--split test] [--every 1] [VIDEO...]

For CMU's clips (`vidpose data prepare cmu`) and for videos with reference_3d.npz beside them (a triangulation of 12
limb joints; cameras in the order of the videos' names). Of every case, over all frames:

    MPJPE     of the joints against the pelvis, in the camera's frame, mm
    P-MPJPE   mm
    bones     standard deviation over mean of a limb bone's length, per cent
    jitter    mean acceleration of the limb joints against the pelvis, m/s^2
    px        median reprojection error
    root      mean distance of the root from the truth, mm
    frames/s  of processor time that fitting takes, one person

Joints are lifted and smoothed as `vidpose infer` does by default; "assumed" is the focal length it takes when nobody
says one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import click
import cv2
import numpy as np
from accuracy import bone_variation, jitter

from vidpose.body.skeletons import H36M_17, get_conversion
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.datasets.clips_to_lift import with_scores
from vidpose.datasets.cmu_cameras import published_cameras
from vidpose.datasets.store import Store, StoredClip
from vidpose.evaluation.metrics import mpjpe, p_mpjpe
from vidpose.lifters.lifter_table import DEFAULT
from vidpose.lifters.zoo import Weights, open_lifter
from vidpose.pipeline.finding import find_people
from vidpose.pipeline.lifting import lift_people
from vidpose.refine.fit import fit
from vidpose.refine.focal import Lens
from vidpose.refine.place import place
from vidpose.refine.roots import reprojection_error
from vidpose.refine.smoothing import Smoothing

_SMOOTHING = Smoothing.parse("butterworth:6")


@dataclass
class Case:
    """A row of the table, gathered clip by clip."""

    errors: list[tuple[np.ndarray, ...]] = field(default_factory=list)
    curves: list[tuple[float, float]] = field(default_factory=list)
    frames: int = 0
    seconds: float = 0.0

    def add(self, result: PoseResult, truth: np.ndarray, joints: list[int]) -> None:
        """The first person of a result, against (frames, joints, 3) metres in the camera's frame, NaN where unknown."""
        track = result.tracks[0]
        rows = track.lifted & np.isfinite(truth[track.frames]).all(axis=(1, 2))
        predicted, target = track.joints[rows].astype(np.float64), truth[track.frames][rows].astype(np.float64)
        roots = target[:, joints.index(0)] if 0 in joints else _between_hips(target, joints)
        own = predicted[:, joints] - (0 if 0 in joints else _between_hips(predicted[:, joints], joints)[:, None])
        convert = get_conversion(result.keypoint_layout, H36M_17.name) if len(track.scores[0]) != len(H36M_17) else None
        keypoints = convert(track.keypoints, track.scores) if convert else (track.keypoints, track.scores)
        pixels = reprojection_error(track.joints, track.roots, *keypoints, result.camera)
        self.errors.append(
            (mpjpe(own, target - roots[:, None]).mean(axis=1), p_mpjpe(predicted[:, joints], target).mean(axis=1),
             np.linalg.norm(track.roots[rows] - roots, axis=-1), pixels[np.isfinite(pixels)])
        )  # fmt: skip
        person = [(track.frames, track.times, track.joints.astype(np.float64))]
        self.curves.append((bone_variation(person, H36M_17), jitter(person, H36M_17)))

    def line(self, name: str) -> str:
        error, aligned, root, pixels = (np.concatenate(column) for column in zip(*self.errors, strict=True))
        bones, moving = np.mean(self.curves, axis=0)
        line = f"  {name:34s} {1000 * error.mean():7.1f} {1000 * aligned.mean():7.1f} {bones:6.2f} {moving:7.2f}"
        line += f" {np.median(pixels):6.1f} {1000 * root.mean():7.1f}"
        return line + (f" {self.frames / self.seconds:8.0f}" if self.seconds else "")


@dataclass
class Table:
    """Before and after, with several cameras."""

    cases: dict[str, Case] = field(default_factory=dict)

    def measure(
        self, lifted: PoseResult, truth: np.ndarray, joints: list[int], cameras: dict[str, float | None]
    ) -> None:
        for name, focal in cameras.items():
            placed = place(lifted, Lens(focal=focal))
            self.cases.setdefault(f"lifted, {name}", Case()).add(placed, truth, joints)
            case, started = self.cases.setdefault(f"fitted, {name}", Case()), time.process_time()
            fitted = fit(placed)
            case.seconds += time.process_time() - started
            case.frames += len(fitted.tracks[0])
            case.add(fitted, truth, joints)

    def lines(self) -> Iterator[str]:
        return (case.line(name) for name, case in self.cases.items())


def _between_hips(positions: np.ndarray, joints: list[int]) -> np.ndarray:
    hips = [joints.index(H36M_17.index(f"{side}_hip")) for side in ("left", "right")]
    return positions[:, hips].mean(axis=1)


def measure_cmu(folder: Path, weights: Weights, split: str, every: int) -> Table:
    """Every so manieth clip of a split; the detector's keypoints are the imitated ones."""
    store, focals = Store(folder), {camera.name: camera.focal for camera in published_cameras()}
    table = Table()
    for clip in [clip for clip in store.clips if clip.split == split][::every]:
        lifted = lift_people(_found(clip, *with_scores(store.keypoints(clip, "detector"))), weights, _SMOOTHING)
        focal = focals[clip.camera]
        cameras = {"true focal length": focal, "focal length x 1.2": 1.2 * focal}
        table.measure(lifted, np.array(store.joints(clip)), list(range(len(H36M_17))), cameras)
    return table


def _found(clip: StoredClip, keypoints: np.ndarray, scores: np.ndarray) -> PoseResult:
    """A clip as if a detector had found one person in a video."""
    times, boxes = np.arange(clip.frames) / clip.fps, np.zeros((clip.frames, 4), np.float32)
    track = Track.of_keypoints(1, np.arange(clip.frames), times, boxes, keypoints, scores)
    source = Source(clip.sequence, clip.width, clip.height, times, Fraction(clip.fps))
    return PoseResult(source, (track,), H36M_17.name, "")


@dataclass(frozen=True)
class Reference:
    """What is known of one person in a video: 12 limb joints, triangulated.

    Attributes:
        joints: their numbers in Human3.6M's layout.
        joints_3d: (F, 12, 3) metres in the camera's frame.
        pixels: (F, 12, 2) where the camera sees them.
        focal: its focal length, pixels.
    """

    joints: list[int]
    joints_3d: np.ndarray
    pixels: np.ndarray
    focal: float

    @classmethod
    def beside(cls, video: Path) -> Reference:
        """Read reference_3d.npz; its cameras are in the order of the videos' names."""
        with np.load(video.parent / "reference_3d.npz") as file:
            joints, world = [H36M_17.index(str(name)) for name in file["joints"]], file["positions"].astype(np.float64)
            number = sorted(path.name for path in video.parent.glob("*.mp4")).index(video.name)
            inner, turn, place4 = cv2.decomposeProjectionMatrix(file["projection"][number])[:3]
        inner = inner / inner[2, 2]
        joints_3d = (world - (place4[:3] / place4[3]).T) @ turn.T
        seen = joints_3d @ inner.T
        return cls(joints, joints_3d, seen[..., :2] / seen[..., 2:], float(inner[0, 0]))

    @property
    def torso(self) -> np.ndarray:
        """(F,) pixels from a shoulder to the hip of the other side, the longer of the two."""
        names = [H36M_17.joints[joint] for joint in self.joints]
        pairs = (("left_shoulder", "right_hip"), ("right_shoulder", "left_hip"))
        ends = [[self.pixels[:, names.index(name)] for name in pair] for pair in pairs]
        return np.max([np.linalg.norm(a - b, axis=-1) for a, b in ends], axis=0)

    def away(self, track: Track) -> float:
        """Pixels from somebody's middle to that of the person who is known, median over the frames."""
        middles = self.pixels.mean(axis=1)[track.frames]
        return float(np.nanmedian(np.linalg.norm(np.nanmean(track.keypoints, axis=1) - middles, axis=-1)))


def measure_video(video: Path, weights: Weights) -> Table:
    """The person of a video whose keypoints are nearest to where its camera would see the reference."""
    reference = Reference.beside(video)
    lifted = lift_people(find_people(video), weights, _SMOOTHING)
    lifted = replace(lifted, tracks=(min(lifted.tracks, key=reference.away),))
    table = Table()
    table.measure(
        lifted, reference.joints_3d, reference.joints, {"true focal length": reference.focal, "assumed": None}
    )
    return table


@click.command()
@click.argument("videos", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--cmu", "prepared", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER")
@click.option("--split", default="test", show_default=True)
@click.option("--every", default=1, show_default=True, help="Only every so manieth clip.")
@click.option("--lifter", default=DEFAULT, show_default=True, metavar="NAME|FILE")
def main(videos: tuple[Path, ...], prepared: Path | None, split: str, every: int, lifter: str) -> None:
    """Print a table a source."""
    logging.disable(logging.WARNING)
    weights = open_lifter(lifter, "cpu")
    print(f"  {'':34s} {'MPJPE':>7} {'P-MPJPE':>7} {'bones':>6} {'jitter':>7} {'px':>6} {'root':>7} frames/s")
    if prepared:
        print(f"CMU, {split} subjects")
        print("\n".join(measure_cmu(prepared, weights, split, every).lines()), flush=True)
    for video in videos:
        print(f"{video.parent.name}/{video.name}")
        print("\n".join(measure_video(video, weights).lines()), flush=True)


if __name__ == "__main__":
    main()
