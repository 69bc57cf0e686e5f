"""`vidpose infer`: video in; skeletons, tables and an overlay out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from vidpose.cli.infer_files import Writing, writing_options
from vidpose.cli.infer_options import Finding, Placing, finding_options, placing_options
from vidpose.cli.progress import progress_of
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.files import check_free, make_folder

if TYPE_CHECKING:
    from vidpose.body.tracks import PoseResult
    from vidpose.pipeline.networks import Networks
    from vidpose.views import ViewCamera


@click.command()
@click.argument("videos", nargs=-1, metavar="VIDEO...", type=click.Path(path_type=Path))
@click.option("--lifter", default="single-branch", show_default=True, help="Shipped weights by name, or a file.")
@click.option("--hypotheses", type=click.IntRange(min=1), help="Of a lifter that draws poses: the mean of so many.")
@click.option("--draw-steps", type=click.IntRange(min=1), help="Steps in which it draws each.")
@finding_options
@click.option("--device", default="auto", show_default=True, help="For the networks: auto, cpu, cuda or cuda:N.")
@click.option(
    "--smooth", default="butterworth:6", show_default=True, metavar="METHOD[:VALUE]",
    help="butterworth:HZ, savgol:SECONDS, one-euro:HZ, or none.",
)  # fmt: skip
@click.option("--max-gap", default=0.5, show_default=True, type=click.FloatRange(min=0), metavar="SECONDS",
              help="Fill absences up to this long.")  # fmt: skip
@placing_options
@click.option("--from-keypoints", type=click.Path(path_type=Path), metavar="RESULT",
              help="Lift the 2D keypoints of a saved .npz again, instead of looking for people.")  # fmt: skip
@writing_options
def infer(videos: tuple[Path, ...], lifter: str, hypotheses: int | None, draw_steps: int | None, device: str,
          smooth: str, max_gap: float, from_keypoints: Path | None, finding: Finding, placing: Placing,
          writing: Writing) -> None:  # fmt: skip
    """3D skeletons of everyone in each VIDEO (a file, or a folder of images).

    Writes NAME.npz (everything, lossless), NAME.json, NAME.csv and NAME_overlay.mp4 to the output folder. Joints are
    root-relative metres: x right, y down, z away from the camera; the .npz has the root's path too.
    """
    if from_keypoints:
        finding.check_saved()
    finding.check_videos(len(videos))
    placing.check(videos, from_keypoints)
    saved = _load_found(from_keypoints) if from_keypoints else None
    videos = _inputs(videos, saved)
    if saved and writing.overlay and not videos[0].exists():
        raise VidposeError(f"{videos[0]}: the video of {from_keypoints} is not there; name it, or give --no-overlay")
    outputs = dict(zip(videos, map(writing.outputs, _names(videos)), strict=True))
    make_folder(writing.out)
    if not writing.overwrite:
        check_free(path for files in outputs.values() for path in files.in_the_way())

    from vidpose.common.devices import choose_device
    from vidpose.lifters.zoo import load_weights
    from vidpose.pipeline.lifting import conversion_for, lift_people
    from vidpose.pipeline.networks import open_networks
    from vidpose.pipeline.view_stage import cameras_of, merge_views
    from vidpose.refine.smoothing import Smoothing
    from vidpose.video import parse_time_range

    start, end = parse_time_range(finding.time_range) if finding.time_range else (None, None)
    smoothing, weights, device = Smoothing.parse(smooth), load_weights(lifter), choose_device(device)
    weights.draw(hypotheses, draw_steps)
    cameras = cameras_of(placing.calibration, videos)[0] if placing.calibration else ()
    with nullcontext() if saved else open_networks(
        finding.detector, finding.keypoints, detector_weights=finding.detector_weights,
        keypoints_weights=finding.keypoints_weights, device=device,
    ) as networks:  # fmt: skip
        if networks:
            # Raises now what would be raised at the end.
            conversion_for(weights.lifter, networks.layout)
        together = networks and _sees_together(networks, videos, finding.in_step, bool(cameras))
        search = {"networks": networks, "start": start, "end": end, **finding.search()}
        lifting = {"smoothing": smoothing, "max_gap": max_gap, "device": device}
        failed = 0
        scenes = [videos] if cameras or finding.in_step else [(video,) for video in videos]
        for views in scenes:
            try:
                started = time.monotonic()
                if together:
                    found = _find_together(views, cameras, search, lifting)
                else:
                    found = [saved or _find(video, **search) for video in views]
                results = [lift_people(some, weights, **lifting) for some in found]
                if cameras:
                    results = merge_views(results, cameras, smoothing, max_gap=max_gap)
                else:
                    results = [
                        _placed(result, video, placing, max_gap) for result, video in zip(results, views, strict=True)
                    ]
                for result, video in zip(results, views, strict=True):
                    written = outputs[video].write(result, video, start, end)
                    _summarise(result, video, written, time.monotonic() - started)
            except Exception as error:
                if len(scenes) == 1:
                    raise
                failed += 1
                known = isinstance(error, VidposeError)
                click.echo(f"error: {error if known else f'{views[0]}: {type(error).__name__}: {error}'}", err=True)
    if failed:
        raise VidposeError(f"{failed} of {len(outputs)} videos failed")


def _names(videos: Sequence[Path]) -> list[str]:
    from vidpose.video.naming import distinct_names
    from vidpose.video.reading import check_local

    for video in videos:
        check_local(str(video))
    return distinct_names(videos)


def _load_found(path: Path) -> PoseResult:
    from vidpose.pipeline.lifting import load_found

    return load_found(path)


def _find(video: Path, **search: Any) -> PoseResult:
    from vidpose.pipeline.finding import find_people

    with progress_of(video.name) as progress:
        return find_people(video, progress=progress, **search)


def _sees_together(networks: Networks, videos: Sequence[Path], in_step: bool, calibrated: bool) -> bool:
    """Whether a clip network is to look at all videos at once.

    Raises:
        VidposeError: they are more than it takes.
    """
    # A network of one view looks at calibrated views each alone.
    if not networks.clips or not (in_step or (calibrated and networks.clips.views > 1)):
        return False
    networks.clips.check_views(", ".join(map(str, videos)), len(videos))
    return True


def _find_together(
    views: Sequence[Path], cameras: Sequence[ViewCamera], search: Mapping[str, Any], lifting: Mapping[str, Any]
) -> Sequence[PoseResult]:
    """The same people in several views, with the keypoints that a clip network sees in all of them at once."""
    from vidpose.lifters.zoo import DEFAULT, load_weights
    from vidpose.pipeline.clip_stage import look_again, one_in_each
    from vidpose.pipeline.lifting import lift_people
    from vidpose.pipeline.view_stage import who_is_who

    networks = search["networks"]
    alone = {**search, "networks": replace(networks, clips=None)}
    found = [_find(video, **alone) for video in views]
    if cameras:
        # The default lifter takes the default keypoints; the one asked for need not.
        lifter = load_weights(DEFAULT)
        people = who_is_who([lift_people(some, lifter, **lifting) for some in found], cameras)
    else:
        people = one_in_each(found)
    with progress_of(f"{len(views)} views together", "moments") as progress:
        return look_again(found, networks.clips, people, start=search["start"], end=search["end"], progress=progress)


def _placed(result: PoseResult, video: Path, placing: Placing, max_gap: float) -> PoseResult:
    from vidpose.refine.place import place
    from vidpose.video.lens import stated_fov

    return place(result, stated_fov=stated_fov(video), max_gap=max_gap, **placing.camera_and_size())


def _inputs(videos: tuple[Path, ...], saved: PoseResult | None) -> tuple[Path, ...]:
    """The videos to work on; a saved result stands for its own video.

    Raises:
        UsageError: no video, or several for one saved result.
    """
    if saved:
        if len(videos) > 1:
            raise UsageError("--from-keypoints takes one result, so at most one VIDEO")
        return videos or (Path(saved.source.path),)
    if not videos:
        raise UsageError("give at least one VIDEO: a file, or a folder of images")
    return videos


def _summarise(result: PoseResult, video: Path, written: Sequence[Path], seconds: float) -> None:
    from vidpose.pipeline.view_stage import describe_agreement

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
        if "view" in result.provenance:
            click.echo(f"  {describe_agreement(result)}")
    click.echo("  wrote " + ", ".join(map(str, written)))
