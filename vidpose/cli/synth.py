"""`vidpose synth`: a scene or motion capture in; rendered people and their exact truth out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from vidpose.cli.bundles import Number
from vidpose.cli.progress import progress_of
from vidpose.cli.terminal import say
from vidpose.common.errors import UsageError
from vidpose.common.files import alone_in, check_outputs, make_folder

if TYPE_CHECKING:
    from vidpose.keypoint_data.clips import Shot
    from vidpose.synth.shoots import PictureFormat, Shoot


@click.command()
@click.argument("name", required=False)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True,
              help="Folder to write to.")  # fmt: skip
@click.option("--list", "listing", is_flag=True, help="List the scenes, and do nothing else.")
@click.option("--motion", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Render clips of motion capture instead of a scene. Folder of the CMU-17 shards.")  # fmt: skip
@click.option("--split", default="train", show_default=True, help="Which subjects' motion: train, val or test.")
@click.option("--clips", default=100, show_default=True, type=click.IntRange(min=1), help="How many clips.")
@click.option(
    "--views",
    default=4,
    show_default=True,
    type=click.IntRange(1, 16),
    help="Cameras that film each clip at the same moments.",
)
@click.option("--frames", default=32, show_default=True, type=click.IntRange(min=1), help="Frames in a clip.")
@click.option("--fps", default=25.0, show_default=True, type=Number(min=0.1), help="Frames a second.")
@click.option(
    "--size",
    default=256,
    show_default=True,
    type=click.IntRange(32, 4096),
    help="Width and height of a picture, in pixels.",
)
@click.option("--seed", default=1, show_default=True, help="Another number gives other people, places and cameras.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def synth(
    name: str | None, out: Path, listing: bool, motion: Path | None, split: str, clips: int, views: int, frames: int,
    fps: float, size: int, seed: int, overwrite: bool,
) -> None:  # fmt: skip
    """Render people whose joints are exactly known: the scene NAME, or with --motion, clips to train on.

    A scene becomes NAME.mp4 and NAME.truth.npz. It takes about half a second of CPU time for each person and frame.
    A clip becomes a folder of pictures with a COCO keypoint file, at about a fifth of a second a picture. After an
    interruption, the same command goes on. The same scene or seed gives the same pictures every time.
    """
    from vidpose.synth.scenes import SCENES

    if listing:
        for scene in SCENES.values():
            say(f"{scene.name:12} {scene.seconds:g} s  {scene.summary}")
    elif motion is not None:
        if name:
            raise UsageError(f"{name}: a scene has motion of its own; leave out NAME or --motion")
        from vidpose.synth.shoots import PictureFormat

        _make_clips(motion, split, clips, PictureFormat(views, frames, fps, size), seed, out, overwrite)
    elif name:
        _make_scene(name, out, overwrite)
    else:
        raise UsageError(f"give the NAME of a scene: {', '.join(SCENES)}; or --motion FOLDER")


def _make_scene(name: str, out: Path, overwrite: bool) -> None:
    from vidpose.synth.scenes import get_scene

    scene = get_scene(name)
    video, facts = out / f"{name}.mp4", out / f"{name}.truth.npz"
    check_outputs((video, facts), overwrite)
    make_folder(out)

    from vidpose.synth.film import save_film, save_truth

    with progress_of(video.name) as progress:
        save_film(scene, video, progress)
    save_truth(scene, facts)
    say(f"wrote {video}, {facts}")


def _make_clips(
    motion: Path, split: str, clips: int, format: PictureFormat, seed: int, out: Path, overwrite: bool
) -> None:
    from dataclasses import asdict
    from itertools import pairwise

    from vidpose.datasets.cmu import load_cmu
    from vidpose.keypoint_data.clips import has_clip, note_clips, write_clip
    from vidpose.synth.actors import POINTS
    from vidpose.synth.shoots import random_shoot

    recorded = load_cmu(motion, split)
    sequences = [recorded.positions[start:end] for start, end in pairwise(recorded.offsets)]
    longest = max(map(len, sequences))
    if format.fps > recorded.fps:
        raise UsageError(f"--fps {format.fps:g}: the motion has {recorded.fps:g} frames a second; give at most that")
    if round((format.frames - 1) * recorded.fps / format.fps) >= longest:
        raise UsageError(
            f"--frames {format.frames}: the longest sequence of {split} has {longest / recorded.fps:.0f} s; give fewer"
        )
    done = 0
    with alone_in(out), progress_of(f"{clips} clips", "pictures") as progress:
        note_clips(out, {"split": split, "seed": seed, **asdict(format)}, overwrite)
        for number in range(clips):
            if not has_clip(out, number):
                shoot = random_shoot(sequences, recorded.fps, format, seed, number)
                write_clip(out, number, POINTS, _shots(shoot, format))
            done += format.views * format.frames
            progress(done, clips * format.views * format.frames)
    say(f"wrote {clips} clips of {format.views} x {format.frames} pictures to {out}")


def _shots(shoot: Shoot, format: PictureFormat) -> Iterator[Shot]:
    from vidpose.keypoint_data.clips import Shot

    for view in range(format.views):
        for frame, (picture, keypoints) in enumerate(shoot.film(view)):
            camera = shoot.cameras[view][frame]
            facts = {
                "focal": camera.focal,
                "centre": list(camera.centre),
                "world_to_camera": camera.world_to_camera.tolist(),
            }
            yield Shot(view, frame, frame / format.fps, picture.image, picture.people == 0, keypoints, facts)
