"""The whole chain on one screen."""

from __future__ import annotations

from pathlib import Path

from vidpose.body.tracks import PoseResult
from vidpose.common.devices import choose_device
from vidpose.lifters.zoo import DEFAULT, load_weights
from vidpose.pipeline.finding import Progress, find_people
from vidpose.pipeline.lifting import lift_people
from vidpose.pipeline.networks import Networks
from vidpose.refine.place import place
from vidpose.refine.scale import Heights
from vidpose.refine.smoothing import Smoothing
from vidpose.video.lens import stated_fov


def infer(
    video: str | Path,
    *,
    lifter: str | Path = DEFAULT,
    networks: Networks | None = None,
    detect_every: int | None = None,
    device: str = "auto",
    smooth: str = "butterworth:6",
    max_gap: float = 0.5,
    start: float | None = None,
    end: float | None = None,
    max_people: int | None = None,
    min_score: float = 0.3,
    fov: float | None = None,
    focal: float | None = None,
    height: Heights | None = None,
    fit: bool = True,
    ground: bool = False,
    progress: Progress | None = None,
) -> PoseResult:
    """3D skeletons of everyone in a video.

    Args:
        video: a video file, or a folder of images.
        lifter: name of shipped weights, or a .safetensors file.
        networks: that find people and their 2D keypoints (`open_networks`); None: the default ones.
        detect_every: frames from one run of the detector to the next; None: as suits it (`PeopleFinder`).
        device: `auto`, `cpu`, `cuda` or `cuda:N`, for the lifter.
        smooth: `METHOD` or `METHOD:PARAMETER`: butterworth (Hz), savgol (seconds), one-euro (Hz) or none.
        max_gap: seconds; an absence up to this long is filled, a longer one stays empty.
        start, end: seconds; only frames with start <= time < end.
        max_people: at most so many people, the most prominent ones; None for all.
        min_score: least mean keypoint score of a person, 0 to 1.
        fov, focal: of the lens, degrees along the picture's longer side, or pixels; None: as the video states, or 60
            degrees.
        height: metres that people are tall, of all or by id; None: the lifter's own metres.
        fit: make each person one body, of bones that keep their lengths.
        ground: look for the floor.
        progress: called after every frame.

    Returns:
        The people with 2D keypoints, root-relative 3D joints and root paths in metres; no tracks when nobody was found.

    Raises:
        UsageError: an option that cannot be.
        VidposeError: the video or the weights cannot be read.
    """
    smoothing, weights = Smoothing.parse(smooth), load_weights(lifter)
    device = choose_device(device)
    found = find_people(
        video, networks=networks, detect_every=detect_every, start=start, end=end, max_people=max_people,
        min_score=min_score, progress=progress,
    )  # fmt: skip
    lifted = lift_people(found, weights, smoothing, max_gap=max_gap, device=device)
    return place(
        lifted,
        fov=fov,
        focal=focal,
        stated_fov=stated_fov(video),
        height=height,
        fit=fit,
        ground=ground,
        max_gap=max_gap,
    )
