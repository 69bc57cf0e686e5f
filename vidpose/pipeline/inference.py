"""The chain as Python calls it: `vidpose.infer` for one video, `vidpose.infer_views` for several of one scene.

Both build a `Job` and run it. What can be set is what a job's parts have as fields; their defaults stand there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TypedDict, Unpack

from vidpose.body.tracks import PoseResult
from vidpose.common.errors import UsageError
from vidpose.common.tally import Progress, ProgressOf
from vidpose.pipeline.job import Job
from vidpose.pipeline.networks import Networks
from vidpose.refine.scale import Heights


class Settings(TypedDict, total=False):
    """What a job can be told; `Finding`, `Lifting`, `Lens` and `Placing` say what each setting means."""

    detector: str
    keypoints: str
    detector_weights: Path | None
    keypoints_weights: Path | None
    detect_every: int | None
    start: float | None
    end: float | None
    max_people: int | None
    min_score: float
    cuts: str | Path
    threads: int | None
    hwaccel: str
    fps: float | Fraction | None
    slow_motion: float | Fraction
    size: tuple[int, int] | str | None
    lifter: str | Path
    precision: str
    smooth: str
    max_gap: float
    hypotheses: int | None
    draw_steps: int | None
    fov: float | None
    focal: float | None
    height: Heights | str | None
    fit: bool | None
    ground: bool
    device: str


def infer(
    video: str | Path | None = None,
    *,
    from_keypoints: str | Path | PoseResult | None = None,
    networks: Networks | None = None,
    progress: Progress | None = None,
    **settings: Unpack[Settings],
) -> PoseResult:
    """3D skeletons of everyone in a video.

    Args:
        video: a video file, or a folder of images.
        from_keypoints: a result, or its file, whose 2D keypoints are lifted again; or a file or folder of keypoints
            that another program found (`vidpose.keypoint_files`). Then the video need not be named.
        networks: that find people and their 2D keypoints (`open_networks`); None: opened here.
        progress: called with the number done, and the number expected or None, after every frame that was searched;
            then anew as people's poses are lifted, and anew as bodies are fitted to them.
        settings: fields of `Finding`, `Lifting`, `Lens` and `Placing`, and `device`.

    Returns:
        The people with 2D keypoints, root-relative 3D joints and root paths in metres; no tracks when nobody was found.

    Raises:
        UsageError: settings that cannot be; raised before the first frame.
        VidposeError: the video or the weights cannot be read.
    """
    if video is None and from_keypoints is None:
        raise UsageError("give a video, or `from_keypoints`")
    videos = () if video is None else (video,)
    saved = () if from_keypoints is None else (from_keypoints,)
    (result,) = Job.of(videos, saved, **settings).run(_progress_of(progress), networks=networks)
    return result


def infer_views(
    videos: Sequence[str | Path],
    *,
    calibration: str | Path | None = None,
    in_step: bool = False,
    networks: Networks | None = None,
    progress: Progress | None = None,
    **settings: Unpack[Settings],
) -> list[PoseResult]:
    """3D skeletons of everyone in several views of one scene, filmed at the same time.

    Args:
        videos: one a view.
        calibration: file of the cameras, by which people are triangulated.
        in_step: one person, seen by all views at once by a clip network, where nobody has calibrated the cameras.
        networks, settings: as of `infer`.
        progress: as of `infer`, for each stage and video in turn.

    Returns:
        A result a view, in its camera's frame, with the same ids in all.

    Raises:
        UsageError, VidposeError: as `infer`; or the views are not of one scene.
    """
    job = Job.of(videos, calibration=calibration, in_step=in_step, **settings)
    return job.run(_progress_of(progress), networks=networks)


def _progress_of(progress: Progress | None) -> ProgressOf:
    @contextmanager
    def report(label: str, unit: str) -> Iterator[Progress]:
        yield progress or (lambda done, total: None)

    return report
