"""`vidpose infer`: video in; skeletons, tables and an overlay out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from click.core import ParameterSource

from vidpose.cli.infer_options import (
    FILE,
    device_option,
    filming_of_keypoints_options,
    finding_in_views_options,
    lens_options,
    lifting_options,
    limit_threads,
    placing_options,
    resumed_writing_options,
)
from vidpose.cli.spelling import spelled
from vidpose.cli.terminal import complain, say
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.files import check_outputs, make_folder, spare_inputs
from vidpose.pipeline.choices import Filming, Finding, Lifting, Placing
from vidpose.pipeline.job import Job
from vidpose.pipeline.outputs import Outputs, Writing
from vidpose.video.time_range import chosen_times

if TYPE_CHECKING:
    from vidpose.body.tracks import PoseResult
    from vidpose.pipeline.keeping import Keeping
    from vidpose.pipeline.networks import Networks


click.rich_click.OPTION_GROUPS["*infer"] = [
    {"name": "The video", "options": ["--time", "--start", "--end", "--cuts", "--fps", "--slow-motion",
                                      "--hwaccel"]},
    {"name": "Keypoints found before", "options": ["--from-keypoints", "--size"]},
    {"name": "Find people", "options": ["--detector", "--keypoints", "--detector-weights", "--keypoints-weights",
                                        "--detect-every", "--max-people", "--min-score"]},
    {"name": "Lift to 3D", "options": ["--lifter", "--precision", "--hypotheses", "--draw-steps", "--smooth",
                                       "--max-gap", "--fit"]},
    {"name": "Sizes and places", "options": ["--fov", "--focal", "--height", "--ground"]},
    {"name": "Several cameras", "options": ["--calibration", "--in-step"]},
    {"name": "Files", "options": ["--out", "--format", "--overlay", "--no-overlay", "--overwrite", "--segment",
                                  "--resume"]},
]  # fmt: skip


@click.command()
@click.argument("videos", nargs=-1, metavar="VIDEO...", type=FILE)
@lifting_options
@finding_in_views_options
@filming_of_keypoints_options
@click.option("--time", "time_range", metavar="START-END",
              help="Only this part of the video, as in 0:02-0:10 or 2:10. With --slow-motion, of life.")  # fmt: skip
@click.option("--start", "start_time", metavar="TIME",
              help="Begin at this time, as --time counts: seconds, or minutes and seconds, as in 1:02.5.")  # fmt: skip
@click.option("--end", "end_time", metavar="TIME", help="Stop before this time, as --time counts.")
@device_option
@click.option("--calibration", type=FILE, metavar="FILE",
              help="File of the cameras that took the VIDEOs at the same time. People are triangulated.")  # fmt: skip
@lens_options
@placing_options
@click.option("--from-keypoints", type=FILE, metavar="FILE", multiple=True,
              help="Lift keypoints found before: a saved .npz, or files of OpenPose, MMPose and others.")  # fmt: skip
@resumed_writing_options
@click.pass_context
def infer(
    context: click.Context, videos: tuple[Path, ...], time_range: str | None, start_time: str | None,
    end_time: str | None, device: str, calibration: Path | None, from_keypoints: tuple[Path, ...], finding: Finding,
    filming: Filming, lifting: Lifting, placing: Placing, writing: Writing,
) -> None:  # fmt: skip
    """3D skeletons of everyone in each VIDEO (a file, or a folder of images).

    Writes NAME.npz (everything), NAME.json, NAME.csv and NAME_overlay.mp4. Joints are in metres relative to the pelvis:
    x right, y down, z away from the camera. The path of the pelvis is in the files, too.
    """
    start, end = chosen_times(time_range, start_time, end_time)
    finding = replace(finding, start=start, end=end)
    limit_threads(finding)
    job = Job(videos, from_keypoints, finding, filming, lifting, placing, calibration, device)
    _check_given(context, job)
    finding.check(videos)
    jobs = [job] if calibration or finding.in_step else list(_one_by_one(job)) or [job]
    for each in jobs:
        each.check_settings()
        writing.check(each)
    read = [path for each in jobs for path in each.inputs]
    asked, jobs = len(jobs), _loaded(jobs)
    outputs = _outputs(jobs, writing)
    if context.get_parameter_source("overlay") == ParameterSource.COMMANDLINE and writing.overlay != "none":
        _tell_undrawn(jobs, outputs)
    read += [path for each in jobs for path in each.inputs]
    spare_inputs([path for job, files in zip(jobs, outputs, strict=True) for path in _written(job, files)], read)
    if writing.resume:
        jobs, outputs = _without_whole(jobs, outputs)
        asked = len(jobs)
        if not jobs:
            return
    _check_first(jobs)
    make_folder(writing.out)
    fresh = [
        some
        for job, files in zip(jobs, outputs, strict=True)
        for video, some in zip(job.sources, files, strict=True)
        if not (writing.resume and (some.keeping.is_unfinished or some.is_of(job, video)))
    ]
    check_outputs([path for some in fresh for path in some.in_the_way()], writing.overwrite)
    if from_keypoints:
        _run_all(jobs, outputs, None, asked)
    else:
        from vidpose.common.devices import choose_device

        with finding.open(choose_device(device)) as networks:
            _run_all(jobs, outputs, networks, asked)


_MOST_CUTS = 8
"""That are listed."""

_TIMES = ("time_range", "start_time", "end_time")


def _check_given(context: click.Context, job: Job) -> None:
    """Raises UsageError where an option is given that nothing would look at."""
    reasons = dict(job.unused())
    if "start" in reasons:
        reasons.update(dict.fromkeys((*_TIMES, "segment", "resume"), reasons["start"]))
    for parameter in context.command.params:
        is_given = context.get_parameter_source(parameter.name) == ParameterSource.COMMANDLINE
        if is_given and parameter.name in reasons:
            raise UsageError(f"{parameter.opts[0]} {reasons[parameter.name]}; leave it out")


def _one_by_one(job: Job) -> Iterator[Job]:
    """A job for each video, or each saved result with the video that is named for it."""
    if not job.saved:
        yield from (replace(job, videos=(video,)) for video in job.videos)
    elif job.videos and len(job.videos) != len(job.saved):
        yield job  # which cannot be, and says so
    else:
        for number, saved in enumerate(job.saved):
            yield replace(job, saved=(saved,), videos=job.videos[number : number + 1])


def _outputs(jobs: Sequence[Job], writing: Writing) -> list[Sequence[Outputs]]:
    """The files of each view of each job.

    Raises:
        VidposeError: an overlay is asked for over a video that is not there.
    """
    from vidpose.video.naming import distinct_names

    names = iter(distinct_names([video for job in jobs for video in job.sources]))
    outputs: list[Sequence[Outputs]] = []
    for job in jobs:
        pictures = [result.source.pictures for result in job.results()] if job.saved else [True] * len(job.videos)
        drawn = [replace(writing, overlay=writing.overlay if there else "none") for there in pictures]
        outputs.append([each.outputs(next(names)) for each in drawn])
        for video, files in zip(job.sources, outputs[-1], strict=True):
            if job.saved and files.film and not video.exists():
                raise VidposeError(f"{video}: the saved result's video is not there; name it, or give `no_overlay`")
    return outputs


def _tell_undrawn(jobs: Sequence[Job], outputs: Sequence[Sequence[Outputs]]) -> None:
    """Say whose overlay, which was asked for, is not drawn."""
    for job, files in zip(jobs, outputs, strict=True):
        for source, some in zip(job.sources, files, strict=True):
            if not some.film:
                say(f"{source}: keypoints without a video, so no overlay is drawn; name the video, too", err=True)


def _written(job: Job, files: Sequence[Outputs]) -> Iterator[Path]:
    """What a job would replace."""
    for some in files:
        yield from some.in_the_way()
        if not job.saved:
            yield some.keeping.file


def _without_whole(
    jobs: Sequence[Job], outputs: Sequence[Sequence[Outputs]]
) -> tuple[list[Job], list[Sequence[Outputs]]]:
    """The jobs that are still to be done, with their files; the others are told."""
    left = []
    for job, files in zip(jobs, outputs, strict=True):
        if all(some.is_of(job, video) and some.is_whole for video, some in zip(job.sources, files, strict=True)):
            say(f"{', '.join(map(str, job.sources))}: done before")
        else:
            left.append((job, files))
    return [job for job, _ in left], [files for _, files in left]


def _loaded(jobs: Sequence[Job]) -> list[Job]:
    """The jobs with saved keypoints read, without those of several whose file is not sound; they are told at once.

    Raises:
        UsageError, VidposeError: a job was told what cannot be; or the file of the only one is not sound.
    """
    loaded = []
    for job in jobs:
        try:
            loaded.append(job.loaded())
        except UsageError:
            raise
        except VidposeError as error:
            if len(jobs) == 1:
                raise
            complain(spelled(str(error)))
    return loaded


def _check_first(jobs: Sequence[Job]) -> None:
    """See by the first job whose video is there that all can be done; what is wrong with one video stops no other.

    Raises:
        VidposeError: no video can be worked on; says what is wrong with the first.
    """
    problems = []
    for job in jobs:
        try:
            job.check()
        except UsageError:
            raise
        except VidposeError as problem:
            problems.append(problem)
        else:
            return
    if problems:
        others = f"; nor can any of the {len(problems) - 1} others be worked on" if problems[1:] else ""
        raise VidposeError(f"{problems[0]}{others}")


def _run_all(jobs: Sequence[Job], outputs: Sequence[Sequence[Outputs]], networks: Networks | None, asked: int) -> None:
    """Run the jobs and write their results. Where several were asked for, one that fails does not stop the others.

    Raises:
        VidposeError: the only job fails, or one of several has.
    """
    failed = asked - len(jobs)
    for job, files in zip(jobs, outputs, strict=True):
        try:
            _run(job, files, networks, last=job is jobs[-1])
        except Exception as error:
            if asked == 1:
                raise
            failed += 1
            known = isinstance(error, VidposeError)
            message = str(error) if known else f"{job.sources[0]}: {type(error).__name__}: {error}"
            complain(spelled(message))
    if failed:
        raise VidposeError(f"{failed} of {asked} videos failed")


def _run(job: Job, outputs: Sequence[Outputs], networks: Networks | None, last: bool) -> None:
    from vidpose.cli.progress import progress_of

    started = time.monotonic()
    saved: list[Path] = []
    try:
        results = job.run(progress_of, networks=networks, keeping=[files.keeping for files in outputs], last=last)
        for result, video, files in zip(results, job.sources, outputs, strict=True):
            paths = files.write(result, video, job, progress_of, saved.append)
            _summarise(result, video, paths, time.monotonic() - started)
    except BaseException as error:
        from vidpose.pipeline.keeping import NotGoneOnError

        kept = [] if job.saved else [files.keeping for files in outputs]
        hint: str | None = None
        if len(saved) == len(outputs):
            hint = f"what is missing, vidpose render and vidpose export make of {' '.join(map(str, saved))}"
        elif not isinstance(error, NotGoneOnError):
            hint = _how_to_go_on(kept)
        if hint and isinstance(error, VidposeError):
            error.args = (f"{error}; {hint}",)
        elif hint:
            say(hint, err=True)
        raise


def _how_to_go_on(kept: Sequence[Keeping]) -> str | None:
    """What to do with what was found before a run was interrupted; None where nothing was."""
    files = [place.file for place in kept if place.file.exists()]
    if files:
        return "the 2D keypoints are kept: go on with " + " ".join(f"--from-keypoints {path}" for path in files)
    if any(place.is_unfinished for place in kept):
        return "what was found so far is kept: go on with the same command and --resume"
    return None


def _summarise(result: PoseResult, video: Path, written: Sequence[Path], seconds: float) -> None:
    frames = result.source.num_frames
    if not result.tracks:
        say(f"{video}: no person found in {frames} frames; wrote an empty result")
    else:
        people = "1 person" if len(result.tracks) == 1 else f"{len(result.tracks)} people"
        say(f"{video}: {people} in {frames} frames, {seconds:.1f} s ({frames / seconds:.1f} fps)")
        for track in result.tracks:
            say(
                f"  id {track.id}: {track.times[0]:.2f} to {track.times[-1]:.2f} s, "
                f"seen in {int(track.seen.sum())} of {len(track)} frames"
            )
        if cuts := result.source.cuts:
            moments = ", ".join(f"{result.source.times[frame]:.2f}" for frame in cuts[:_MOST_CUTS])
            more = f" and {len(cuts) - _MOST_CUTS} more" if len(cuts) > _MOST_CUTS else ""
            click.echo(f"  {len(cuts)} {'cut' if len(cuts) == 1 else 'cuts'}, at {moments} s{more}: people end there")
        if result.agreement:
            from vidpose.pipeline.view_stage import describe_agreement

            say(f"  {describe_agreement(result.agreement)}")
    say("  wrote " + ", ".join(map(str, written)))
