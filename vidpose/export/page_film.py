"""The video of a result, small, to be put into a file for viewing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from vidpose.body.tracks import PoseResult
from vidpose.common.errors import VidposeError
from vidpose.export.page_length import PageLength
from vidpose.video import VideoReader, VideoWriter


def small_film(
    result: PoseResult, path: Path, length: PageLength, progress: Callable[[int, int], None] | None = None
) -> bytes:
    """The frames of a page as an MP4 file that browsers play.

    Its time 0 is that of the first one; the others keep their distance.

    Args:
        result: of which video.
        path: that video, a file or a folder of images.
        length: which frames, and what they may take.
        progress: called after every frame with the frames decoded so far and those of the whole video.

    Raises:
        VidposeError: the video cannot be read, or is not the one of the result.
    """
    source, frames = result.source, length.frames
    size = length.film_size(source)
    start, end = source.times[frames[0]], np.nextafter(source.times[frames[-1]], np.inf)
    with (
        tempfile.TemporaryDirectory() as folder,
        VideoReader(path, start=start, end=end, every=frames.step, times=source.times) as reader,
    ):
        if (reader.width, reader.height) != (source.width, source.height):
            raise VidposeError(
                f"{path}: {reader.width}x{reader.height} pixels, but the result is of a video with "
                f"{source.width}x{source.height}; give the video it was made from"
            )
        small = Path(folder) / "film.mp4"
        seconds = max(1.0, end - start)
        most_bits = None if length.film_bytes is None else 8 * length.film_bytes / seconds
        fps = reader.fps and reader.fps / frames.step
        with VideoWriter(small, size, fps, most_bits=most_bits) as writer:
            for frame in reader:
                writer.write(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), frame.time)
                if progress:
                    progress(frame.index + 1, source.num_frames)
        return small.read_bytes()
