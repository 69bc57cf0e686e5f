"""How well people are put into space: root path, height and ground, against what is known.

    python benchmarks/world.py [--cmu data/cmu] [VIDEO...]

For CMU's test clips (`vidpose data prepare cmu`) and for videos with NAME.truth.npz (samples/) or reference_3d.npz (a
triangulation; cameras in the order of the videos' names) beside them. Of every case, over all frames:

    error     mean distance of the root from the truth, mm
    offset    the same after taking off a clip's mean difference
    scale     the same after a clip's best scale and offset: the shape of the path
    depth     mean error of the depth, per cent of it
    px        median reprojection error
    tilt      mean angle, and its median over clips, between the ground's normal and the vertical, degrees
    height    mean error of the camera's height over the floor, mm (videos with truth)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import click
import cv2
import numpy as np

from vidpose.body.skeletons import H36M_17, get_conversion
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.datasets.clips_to_lift import with_scores
from vidpose.datasets.cmu_cameras import published_cameras
from vidpose.datasets.store import Store, StoredClip
from vidpose.lifters.lifter_table import DEFAULT
from vidpose.lifters.zoo import Weights, open_lifter
from vidpose.pipeline.finding import find_people
from vidpose.pipeline.lifting import lift_people
from vidpose.refine.focal import Lens
from vidpose.refine.place import place
from vidpose.refine.roots import reprojection_error
from vidpose.refine.scale import stature
from vidpose.refine.smoothing import Smoothing

ANATOMICAL = 0.94 / 0.961
"""From the height that lifted bones tell to the one that the same bones tell where they are a skeleton's."""


@dataclass
class Table:
    """Errors of one case, clip by clip."""

    rows: list[tuple[np.ndarray, ...]] = field(default_factory=list)
    pixels: list[np.ndarray] = field(default_factory=list)
    tilts: list[float] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)

    def add(self, roots: np.ndarray, truth: np.ndarray, pixels: np.ndarray) -> None:
        there = np.isfinite(roots).all(axis=1) & np.isfinite(truth).all(axis=1)
        roots, truth = roots[there].astype(np.float64), truth[there].astype(np.float64)
        centred, aim = roots - roots.mean(axis=0), truth - truth.mean(axis=0)
        scale = (centred * aim).sum() / max(np.square(centred).sum(), 1e-9)
        off = (roots - truth, centred - aim, scale * centred - aim)
        self.rows.append(
            (*(np.linalg.norm(part, axis=1) for part in off), np.abs(roots[:, 2] - truth[:, 2]) / truth[:, 2])
        )
        self.pixels.append(pixels[np.isfinite(pixels)])

    def add_ground(self, to_world: np.ndarray, up: np.ndarray) -> None:
        self.tilts.append(float(np.degrees(np.arccos(np.clip(to_world[2, :3] @ up, -1, 1)))))

    def line(self, name: str) -> str:
        error, offset, scale, depth = (np.concatenate(column).mean() for column in zip(*self.rows, strict=True))
        line = f"  {name:44s} {1000 * error:7.1f} {1000 * offset:7.1f} {1000 * scale:7.1f} {100 * depth:6.1f}"
        line += f" {np.median(np.concatenate(self.pixels)):6.1f}"
        if self.tilts:
            line += f"   tilt {np.mean(self.tilts):.1f}, {np.median(self.tilts):.1f}"
        return line + (f"   height {1000 * np.mean(np.abs(self.heights)):.0f}" if self.heights else "")


def result_of(clip: StoredClip, keypoints: np.ndarray, scores: np.ndarray) -> PoseResult:
    """A clip as if a detector had found one person in a video."""
    there = np.flatnonzero((scores > 0).any(axis=1))
    rows = np.arange(there[0], there[-1] + 1)
    times = np.arange(clip.frames) / clip.fps
    boxes = np.zeros((len(rows), 4), np.float32)
    track = Track.of_keypoints(1, rows, times[rows], boxes, keypoints[rows], scores[rows])
    source = Source(clip.sequence, clip.width, clip.height, times, Fraction(clip.fps))
    return PoseResult(source, (track,), H36M_17.name, "")


def exact(found: PoseResult, joints: np.ndarray) -> PoseResult:
    """The result with the true joints lifted."""
    (track,) = found.tracks
    posed = replace(track, joints=(joints - joints[:, :1])[track.frames], joint_scores=track.scores)
    return replace(found, joint_layout=H36M_17.name).with_tracks((posed,))


def cmu(folder: Path, weights: Weights) -> Iterator[str]:
    """Lines of the table for CMU's test clips."""
    store, cameras = Store(folder), {camera.name: camera for camera in published_cameras()}
    smoothing = Smoothing.parse("butterworth:6")
    tables: dict[str, Table] = {}

    def measure(
        name: str, result: PoseResult, truth: np.ndarray, up: np.ndarray, focal: float, **options: object
    ) -> None:
        placed = place(result, Lens(focal=focal), **options)
        (track,) = placed.tracks
        table = tables.setdefault(name, Table())
        error = reprojection_error(track.joints, track.roots, track.keypoints, track.scores, placed.camera)
        table.add(track.roots, truth[track.frames], error)
        if placed.camera.to_world is not None:
            table.add_ground(placed.camera.to_world, up)

    for clip in store.clips:
        if clip.split != "test":
            continue
        joints = np.array(store.joints(clip))
        camera, truth = cameras[clip.camera], joints[:, 0]
        up, focal = camera.rotation[:, 2], camera.focal
        tall = stature(joints, H36M_17) * ANATOMICAL
        sharp, seen = (result_of(clip, *with_scores(store.keypoints(clip, name))) for name in ("gt", "detector"))
        lifted = lift_people(seen, weights, smoothing)
        measure("exact joints, exact keypoints", exact(sharp, joints), truth, up, focal=focal, ground=True)
        measure("exact joints, detector's keypoints", exact(seen, joints), truth, up, focal=focal)
        measure("exact joints, focal length x 1.2", exact(sharp, joints), truth, up, focal=1.2 * focal)
        measure("lifted", lifted, truth, up, focal=focal, ground=True)
        measure("lifted, true height", lifted, truth, up, focal=focal, height=tall, ground=True)
        measure("lifted, focal length x 1.2", lifted, truth, up, focal=1.2 * focal, ground=True)
        measure("lifted, focal length x 0.8", lifted, truth, up, focal=0.8 * focal)
    for name, table in tables.items():
        yield table.line(name)


@dataclass(frozen=True)
class Truth:
    """What is known of a video: roots of people by frame, (P, T, 3), the focal length and the vertical, both of the
    camera; where people were rendered, how high the camera is over the floor, and their heights."""

    roots: np.ndarray
    focal: float
    up: np.ndarray
    camera_height: float | None = None
    heights: tuple[float, ...] | None = None


def truth_of(video: Path) -> Truth | None:
    """What lies beside a video."""
    rendered, triangulated = video.with_suffix(".truth.npz"), video.parent / "reference_3d.npz"
    if rendered.exists():
        with np.load(rendered) as file:
            joints, camera, move = file["joints"], file["camera"], file["world_to_camera"]
        heights = tuple(stature(person, H36M_17) * ANATOMICAL for person in joints)
        above = -float(move[:, 2] @ move[:, 3])
        return Truth(joints[:, :, 0], float(camera[0]), move[:, 2], above, heights)
    if triangulated.exists():
        with np.load(triangulated) as file:
            names, positions = [str(name) for name in file["joints"]], file["positions"]
            number = sorted(path.name for path in video.parent.glob("*.mp4")).index(video.name)
            inner, turn, place4 = cv2.decomposeProjectionMatrix(file["projection"][number])[:3]
        hips = positions[:, [names.index("left_hip"), names.index("right_hip")]].mean(axis=1)
        roots = (hips - (place4[:3] / place4[3]).T) @ turn.T
        return Truth(roots[None], float(inner[0, 0] / inner[2, 2]), turn[:, 2])
    return None


def measure_video(video: Path, weights: Weights) -> Iterator[str]:
    """Lines of the table for a video."""
    truth = truth_of(video)
    if truth is None:
        raise click.UsageError(f"{video}: neither {video.stem}.truth.npz nor reference_3d.npz beside it")
    lifted = lift_people(find_people(video), weights, Smoothing.parse("butterworth:6"))
    convert = get_conversion(lifted.keypoint_layout, H36M_17.name)
    for name, lens in {
        "true focal length": Lens(focal=truth.focal),
        "true focal length and height": Lens(focal=truth.focal),
        "focal length x 1.2": Lens(focal=1.2 * truth.focal),
        "assumed focal length": Lens(),
    }.items():
        table, placed = Table(), place(lifted, lens, ground=True)
        near = {track.id: _nearest(track, truth) for track in placed.tracks}
        if "height" in name:
            if truth.heights is None:
                continue
            placed = place(lifted, lens, ground=True, height={i: truth.heights[p] for i, p in near.items()})
        # Of several tracks of one person the longest counts.
        best = {near[track.id]: track for track in sorted(placed.tracks, key=len)}
        for person, track in best.items():
            keypoints, scores = convert(track.keypoints, track.scores)
            error = reprojection_error(track.joints, track.roots, keypoints, scores, placed.camera)
            table.add(track.roots, truth.roots[person][track.frames], error)
        if placed.camera.to_world is not None:
            table.add_ground(placed.camera.to_world, truth.up)
            if truth.camera_height is not None:
                table.heights.append(placed.camera.to_world[2, 3] - truth.camera_height)
        yield table.line(name)


def _nearest(track: Track, truth: Truth) -> int:
    """Which true person a track is, by direction from the camera."""
    rays = track.roots[:, :2] / track.roots[:, 2:]
    true = truth.roots[:, track.frames, :2] / truth.roots[:, track.frames, 2:]
    return int(np.nanmedian(np.abs(true - rays).sum(axis=-1), axis=1).argmin())


@click.command()
@click.argument("videos", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--cmu", "prepared", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER")
@click.option("--lifter", default=DEFAULT, show_default=True, metavar="NAME|FILE")
def main(videos: tuple[Path, ...], prepared: Path | None, lifter: str) -> None:
    """Print a table a source."""
    logging.disable(logging.WARNING)
    weights = open_lifter(lifter, "cpu")
    print(f"  {'':44s} {'error':>7} {'offset':>7} {'scale':>7} {'depth':>6} {'px':>6}")
    if prepared:
        print("CMU, test subjects")
        for line in cmu(prepared, weights):
            print(line, flush=True)
    for video in videos:
        print(f"{video.parent.name}/{video.name}")
        for line in measure_video(video, weights):
            print(line, flush=True)


if __name__ == "__main__":
    main()
