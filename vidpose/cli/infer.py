"""`vidpose infer`: video in; skeletons, tables and an overlay out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from vidpose.cli.progress import progress_of
from vidpose.errors import UsageError, VidposeError
from vidpose.files import check_free, make_folder

if TYPE_CHECKING:
    from vidpose.tracks import PoseResult


@dataclass(frozen=True)
class Outputs:
    """The files that one video becomes."""

    result: Path
    json: Path
    csv: Path
    overlay: Path | None

    @staticmethod
    def of(folder: Path, name: str, overlay: bool) -> Outputs:
        return Outputs(
            folder / f"{name}.npz",
            folder / f"{name}.json",
            folder / f"{name}.csv",
            folder / f"{name}_overlay.mp4" if overlay else None,
        )

    def __iter__(self) -> Iterator[Path]:
        return (path for path in (self.result, self.json, self.csv, self.overlay) if path)


@click.command()
@click.argument("videos", nargs=-1, metavar="VIDEO...", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default="out", show_default=True, help="Folder to write to.")
@click.option("--lifter", default="single-branch", show_default=True, help="Shipped weights by name, or a file.")
@click.option("--detector", default="blazepose", show_default=True, metavar="NAME",
              help="What finds people: a network by name, or boxes:FILE.")  # fmt: skip
@click.option("--keypoints", default="blazepose", show_default=True, metavar="NAME", help="What finds their 2D joints.")
@click.option("--detector-weights", type=click.Path(path_type=Path), metavar="FILE",
              help="Weights of the detector, instead of those published.")  # fmt: skip
@click.option("--keypoints-weights", type=click.Path(path_type=Path), metavar="FILE",
              help="Weights of the keypoint network, instead of those published.")  # fmt: skip
@click.option("--detect-every", type=click.IntRange(min=1), metavar="FRAMES",
              help="Run the detector on every so many frames, and follow people between.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="For the networks: auto, cpu, cuda or cuda:N.")
@click.option(
    "--smooth", default="butterworth:6", show_default=True, metavar="METHOD[:VALUE]",
    help="butterworth:HZ, savgol:SECONDS, one-euro:HZ, or none.",
)  # fmt: skip
@click.option("--max-gap", default=0.5, show_default=True, type=click.FloatRange(min=0), metavar="SECONDS",
              help="Fill absences up to this long.")  # fmt: skip
@click.option("--time", "time_range", metavar="START:END", help="Only these seconds of the video, as in 2:10.")
@click.option("--max-people", type=click.IntRange(min=1), help="At most so many people, the most prominent ones.")
@click.option("--min-score", default=0.3, show_default=True, type=click.FloatRange(0, 1),
              help="Leave out people whose keypoints score less than this on average.")  # fmt: skip
@click.option("--overlay/--no-overlay", default=True, show_default=True, help="Draw the skeletons over the video.")
@click.option("--from-keypoints", type=click.Path(path_type=Path), metavar="RESULT",
              help="Lift the 2D keypoints of a saved .npz again, instead of looking for people.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def infer(videos: tuple[Path, ...], out: Path, lifter: str, detector: str, keypoints: str,
          detector_weights: Path | None, keypoints_weights: Path | None, detect_every: int | None, device: str,
          smooth: str, max_gap: float, time_range: str | None, max_people: int | None, min_score: float, overlay: bool,
          from_keypoints: Path | None, overwrite: bool) -> None:  # fmt: skip
    """3D skeletons of everyone in each VIDEO (a file, or a folder of images).

    Writes NAME.npz (everything, lossless), NAME.json, NAME.csv and NAME_overlay.mp4 to the output folder. Positions
    are root-relative metres: x right, y down, z away from the camera.
    """
    chosen = (time_range, max_people, detect_every, detector_weights, keypoints_weights)
    if from_keypoints and (any(chosen) or {detector, keypoints} != {"blazepose"}):
        raise UsageError(
            "--time, --max-people and the options of detector and keypoints choose what is looked for; "
            "--from-keypoints lifts what was found"
        )
    if detector.startswith("boxes:") and len(videos) > 1:
        raise UsageError(f"--detector {detector}: the boxes of one video, so at most one VIDEO")
    saved = _load_found(from_keypoints) if from_keypoints else None
    videos = _inputs(videos, saved)
    if saved and overlay and not videos[0].exists():
        raise VidposeError(f"{videos[0]}: the video of {from_keypoints} is not there; name it, or give --no-overlay")
    outputs = {video: Outputs.of(out, _name(video), overlay) for video in videos}
    make_folder(out)
    if not overwrite:
        check_free(path for files in outputs.values() for path in files)

    from vidpose.devices import choose_device
    from vidpose.networks import open_networks
    from vidpose.pipeline import conversion_for, lift_people
    from vidpose.refine import Smoothing
    from vidpose.video import parse_time_range
    from vidpose.zoo import load_weights

    start, end = parse_time_range(time_range) if time_range else (None, None)
    smoothing, weights, device = Smoothing.parse(smooth), load_weights(lifter), choose_device(device)
    failed = 0
    with nullcontext() if saved else open_networks(
        detector, keypoints, detector_weights=detector_weights, keypoints_weights=keypoints_weights, device=device
    ) as networks:  # fmt: skip
        if networks:
            conversion_for(weights.lifter, networks.keypoints.layout)  # raises now what would be raised at the end
        for video, files in outputs.items():
            try:
                started = time.monotonic()
                found = saved or _find(video, networks=networks, detect_every=detect_every, start=start, end=end,
                                       max_people=max_people, min_score=min_score)  # fmt: skip
                result = lift_people(found, weights, smoothing, max_gap=max_gap, device=device)
                _write(result, video, files, start, end)
                _summarise(result, video, files, time.monotonic() - started)
            except VidposeError as error:
                if len(outputs) == 1:
                    raise
                failed += 1
                click.echo(f"error: {error}", err=True)
    if failed:
        raise VidposeError(f"{failed} of {len(outputs)} videos failed")


def _load_found(path: Path) -> PoseResult:
    from vidpose.pipeline import load_found

    return load_found(path)


def _find(video: Path, **options: Any) -> PoseResult:
    from vidpose.pipeline import find_people

    with progress_of(video.name) as progress:
        return find_people(video, progress=progress, **options)


def _inputs(videos: tuple[Path, ...], saved: PoseResult | None) -> tuple[Path, ...]:
    """The videos to work on; a saved result stands for its own video.

    Raises:
        UsageError: no video, several for one saved result, or two whose outputs would have the same name.
    """
    if saved:
        if len(videos) > 1:
            raise UsageError("--from-keypoints takes one result, so at most one VIDEO")
        return videos or (Path(saved.source.path),)
    if not videos:
        raise UsageError("give at least one VIDEO: a file, or a folder of images")
    names: dict[str, Path] = {}
    for video in videos:
        other = names.setdefault(_name(video), video)
        if other is not video:
            raise UsageError(
                f"{other} and {video} would both be written as {_name(video)!r}; run them with different --out"
            )
    return videos


def _name(video: Path) -> str:
    """What the outputs are called: the file's stem, or the folder's name."""
    resolved = video.resolve()
    return resolved.name if resolved.is_dir() else video.stem


def _write(result: PoseResult, video: Path, files: Outputs, start: float | None, end: float | None) -> None:
    from vidpose.export import write_csv, write_json

    result.save(files.result)
    write_json(result, files.json)
    write_csv(result, files.csv)
    if files.overlay:
        from vidpose.render import render_overlay

        with progress_of(f"{video.name} overlay") as progress:
            render_overlay(result, video, files.overlay, start=start, end=end, progress=progress)


def _summarise(result: PoseResult, video: Path, files: Outputs, seconds: float) -> None:
    frames = result.source.num_frames
    if not result.tracks:
        click.echo(f"{video}: no person found in {frames} frames; wrote an empty result")
    else:
        people = "1 person" if len(result.tracks) == 1 else f"{len(result.tracks)} people"
        click.echo(f"{video}: {people} in {frames} frames, {seconds:.1f} s ({frames / seconds:.1f} fps)")
        for track in result.tracks:
            click.echo(
                f"  id {track.id}: {track.times[0]:.2f} to {track.times[-1]:.2f} s, "
                f"seen in {int(track.seen.sum())} of {len(track)} frames"
            )
    click.echo("  wrote " + ", ".join(map(str, files)))
