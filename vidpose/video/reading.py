"""Videos and folders of images, frame by frame."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np

from vidpose.body.tracks import Source
from vidpose.common.errors import UsageError, VidposeError
from vidpose.video.ahead import Ahead
from vidpose.video.decoding import VideoFile
from vidpose.video.images import ImageFolder


@dataclass(frozen=True)
class VideoFrame:
    """One decoded frame.

    Attributes:
        index: its number, from 0, among all decoded frames of the video.
        time: seconds since the start of the video stream.
        image: (H, W, 3) uint8 RGB, upright.
    """

    index: int
    time: float
    image: np.ndarray


class VideoReader:
    """The frames of a video file or of a folder of images, to be iterated over once.

    Args:
        path: a local file, or a folder of images in natural order (`2.png` before `10.png`).
        start, end: seconds; only frames with start <= time < end are given. Their numbers remain those of the whole
            video, which is decoded from its beginning in any case.
        image_fps: frames a second of a folder of images; a video file has times of its own.

    Attributes:
        width, height: pixels of the upright picture, after rotation metadata, with square pixels.
        fps: frames a second as the container states it, None when it states nothing.
        num_frames_hint: the container's claim, for a progress bar: it can be wrong. None when it claims nothing.
        times: seconds of every frame decoded so far, those before `start` included.

    Raises:
        VidposeError: the file is missing, unreadable, damaged from its beginning, or holds no video; while iterating,
            the picture changes its size or an image of a folder cannot be read.
        UsageError: `image_fps` is not positive; after iterating, there was no frame between `start` and `end`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        start: float | None = None,
        end: float | None = None,
        image_fps: float | Fraction = 30,
    ) -> None:
        self.path = Path(path)
        self._start, self._end = start, end
        # Path.exists raises where a folder on the way may not be entered.
        if not os.path.exists(path):
            raise VidposeError(f"{path}: no such file that you may read; give a local video or a folder of images")
        self._frames = ImageFolder(self.path, image_fps) if self.path.is_dir() else VideoFile(self.path)
        self.width, self.height = self._frames.width, self._frames.height
        self.fps = self._frames.fps
        self.num_frames_hint = self._frames.num_frames_hint
        self.times: list[float] = []
        self._ahead: Ahead[tuple[float, np.ndarray | None]] | None = None

    @property
    def truncated(self) -> bool:
        """Whether, as far as it was read, the file could not be decoded whole or ended before its container said."""
        return self._frames.truncated

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._ahead:
            self._ahead.close()
        self._frames.close()

    def __iter__(self) -> Iterator[VideoFrame]:
        assert not self.times, "a VideoReader is read once"
        any_given = False
        self._ahead = Ahead(self._decode())
        for index, (time, image) in enumerate(self._ahead):
            self.times.append(time)
            if image is not None:
                any_given = True
                yield VideoFrame(index, time, image)
        if not any_given:
            until = "on" if self._end is None else f"to {self._end:g} s"
            last = f"{self.times[-1]:.3f} s" if self.times else "none"
            raise UsageError(f"{self.path}: no frame from {self._start or 0:g} s {until}; the last before that: {last}")

    def _decode(self) -> Iterator[tuple[float, np.ndarray | None]]:
        """Time and picture of every frame before `end`; no picture before `start`."""
        for exact_time, picture in self._frames:
            time = float(exact_time)
            if self._end is not None and time >= self._end:
                return
            yield time, self._frames.image(picture) if self._start is None or time >= self._start else None

    def source(self) -> Source:
        """What a result keeps of the video; complete once the frames have been read."""
        return Source(
            path=str(self.path),
            width=self.width,
            height=self.height,
            times=np.array(self.times, dtype=np.float64),
            fps=self.fps,
            truncated=self.truncated,
        )


def parse_time_range(text: str) -> tuple[float | None, float | None]:
    """Read `START:END` in seconds: `2:10` is from second 2 to second 10, `2:` to the end, `:10` from the beginning.

    Raises:
        UsageError: it reads otherwise, or END is not after START.
    """
    try:
        start, end = (float(side) if side else None for side in text.split(":"))
    except ValueError:
        raise UsageError(f"{text!r} is no time range; write START:END in seconds, like 2:10, 2.5: or :10") from None
    if not 0 <= (start or 0) < (math.inf if end is None else end):
        raise UsageError(f"{text!r} holds no time; END must come after START, and neither before 0")
    return start, end
