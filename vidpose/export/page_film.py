"""The video of a result, small, to be put into a file for viewing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from vidpose.body.tracks import PoseResult, Source
from vidpose.common.errors import VidposeError
from vidpose.video import VideoReader, VideoWriter

_LONGEST_SIDE = 640
"""Pixels; larger videos are scaled down."""

_AROUND = 1.0
"""Seconds before the first person and after the last one that are kept."""


def frames_to_show(result: PoseResult) -> range:
    """Numbers of the frames from a second before the first person to a second after the last; all, without people."""
    times = result.source.times
    if not result.tracks:
        return range(len(times))
    start = min(track.times[0] for track in result.tracks) - _AROUND
    end = max(track.times[-1] for track in result.tracks) + _AROUND
    return range(int(np.searchsorted(times, start)), int(np.searchsorted(times, end, side="right")))


def film_size(source: Source) -> tuple[int, int]:
    """(width, height) in pixels of the film of a video."""
    scale = min(1, _LONGEST_SIDE / max(source.width, source.height))
    # Even, as the codec wants them: the writer would add a row or a column, and shift the picture under the skeletons.
    width, height = (max(2, 2 * round(scale * side / 2)) for side in (source.width, source.height))
    return width, height


def small_film(result: PoseResult, path: Path, progress: Callable[[int, int], None] | None = None) -> bytes:
    """Those frames as an MP4 file that browsers play.

    Its time 0 is that of the first one; the others keep their distance.

    Args:
        result: of which video.
        path: that video, a file or a folder of images.
        progress: called after every frame with the frames decoded so far and those of the whole video.

    Raises:
        VidposeError: the video cannot be read, or is not the one of the result.
    """
    source, frames = result.source, frames_to_show(result)
    size = film_size(source)
    start, end = source.times[frames[0]], np.nextafter(source.times[frames[-1]], np.inf)
    with (
        tempfile.TemporaryDirectory() as folder,
        VideoReader(path, start=start, end=end, times=source.times) as reader,
    ):
        if (reader.width, reader.height) != (source.width, source.height):
            raise VidposeError(
                f"{path}: {reader.width}x{reader.height} pixels, but the result is of a video with "
                f"{source.width}x{source.height}; give the video it was made from"
            )
        small = Path(folder) / "film.mp4"
        with VideoWriter(small, size, reader.fps) as writer:
            for frame in reader:
                writer.write(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), frame.time)
                if progress:
                    progress(frame.index + 1, source.num_frames)
        return small.read_bytes()
