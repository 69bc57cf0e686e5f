"""Videos and pictures, frame by frame."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from vidpose.body.tracks import Source
from vidpose.common.errors import UsageError, VidposeError
from vidpose.video.acceleration import SOFTWARE
from vidpose.video.ahead import Ahead
from vidpose.video.decoding import VideoFile
from vidpose.video.images import Pictures, is_picture
from vidpose.video.pillow_pictures import PictureFrames, is_animation


class NoFrameError(UsageError):
    """There is no frame in the time that was asked for."""


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
    """The frames of a video file, of a folder of pictures, or of one picture, to be iterated over once.

    Args:
        path: a local file, or a folder of pictures in natural order (`2.png` before `10.png`).
        start, end: seconds; only frames with start <= time < end are given. Their numbers remain those of the whole
            video, which is decoded from its beginning in any case.
        every: of the frames in that time, only each nth is given, the first among them.
        fps: frames a second that the frames were taken at, whatever a file's own times are. None: those times; 30 for
            pictures.
        slow_motion: how many times slower than life a file shows what happens. Times are divided by it.
        times: of the frames, by an earlier reading, which `fps` and `slow_motion` then need not repeat.
        hwaccel: device that decodes a video file, where it can: as FFmpeg names it, "auto" or "none".

    Attributes:
        width, height: pixels of the upright picture, after rotation metadata, with square pixels.
        fps: frames a second as the container states it, or as it was given; None when nothing states it.
        num_frames_hint: the container's claim, for a progress bar: it can be wrong. None when it claims nothing.
        times: seconds of every frame decoded so far, those before `start` included.

    Raises:
        VidposeError: the file is missing, unreadable, damaged from its beginning, or holds no video; while iterating,
            an image of a folder cannot be read.
        UsageError: the path is none of a file; `fps` or `slow_motion` is not positive; there is no such device.
        NoFrameError: after iterating, there was no frame between `start` and `end`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        start: float | None = None,
        end: float | None = None,
        every: int = 1,
        fps: float | Fraction | None = None,
        slow_motion: float | Fraction = 1,
        times: Sequence[float] | np.ndarray | None = None,
        hwaccel: str = SOFTWARE,
    ) -> None:
        check_readable(path)
        self.path = Path(path)
        self._start, self._end, self._every, self._known_times = start, end, every, times
        self._fps = None if fps is None else _positive(fps, "`fps`")
        self._slow_motion = _positive(slow_motion, "`slow_motion`")
        self._frames: Pictures | PictureFrames | VideoFile
        if is_animation(self.path):
            self._frames = PictureFrames(self.path)
        elif self.path.is_dir() or is_picture(self.path):
            self._frames = Pictures(self.path, self._fps)
        else:
            self._frames = VideoFile(self.path, hwaccel)
        self.width, self.height = self._frames.width, self._frames.height
        rate = self._fps or self._frames.fps
        self.fps = rate and rate * self._slow_motion
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
            raise NoFrameError(
                f"{self.path}: no frame from {self._start or 0:g} s {until}; the last before that: {last}"
            )

    def _decode(self) -> Iterator[tuple[float, np.ndarray | None]]:
        """Time and picture of every frame before `end`; no picture of those that are not given."""
        inside = 0
        for time, picture in self._timed():
            if self._end is not None and time >= self._end:
                return
            is_inside = self._start is None or time >= self._start
            yield time, self._frames.image(picture) if is_inside and inside % self._every == 0 else None
            inside += is_inside

    def _timed(self) -> Iterator[tuple[float, Any]]:
        """Seconds as the caller counts them, and what `image` turns into a picture."""
        for index, (time, picture) in enumerate(self._frames):
            if self._known_times is not None:
                if index == len(self._known_times):
                    return
                yield float(self._known_times[index]), picture
            elif self._fps and not isinstance(self._frames, Pictures):
                yield float(index / self._fps / self._slow_motion), picture
            else:
                yield float(time / self._slow_motion), picture

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


def source_of(path: str | Path, *, fps: float | Fraction | None = None, slow_motion: float | Fraction = 1) -> Source:
    """What a result keeps of a video: it is decoded once, and no picture is made of it.

    Args, Raises: as of `VideoReader`.
    """
    with VideoReader(path, fps=fps, slow_motion=slow_motion) as video:
        video.times.extend(time for time, _ in video._timed())
        return video.source()


def check_readable(path: str | Path) -> None:
    """See that there is a file or a folder to read frames from.

    Raises:
        UsageError: the path is none of a file.
        VidposeError: nothing is there.
    """
    check_local(str(path))
    # Path.exists raises where a folder on the way may not be entered.
    if not os.path.exists(path):
        raise VidposeError(f"{path}: no such file that you may read; give a local video or a folder of images")
    if not (os.path.isfile(path) or os.path.isdir(path)):
        raise UsageError(f"{path}: a pipe or a device, and a video is read twice; save it to a file first")


def check_local(path: str) -> None:
    """See that a path is meant to be one.

    Raises:
        UsageError: it is an address, or `-` for what another program pipes in.
    """
    if path == "-":
        raise UsageError("-: standard input is not read, for a video is read twice; save it to a file first")
    # A path object has made one slash of two.
    address = re.match(r"([a-z][a-z0-9+.-]+):/+(?=.)", path, re.IGNORECASE)
    if address and not os.path.exists(path):
        url = path if "://" in path else f"{address[1]}://{path[address.end() :]}"
        raise UsageError(f"{url}: addresses are not opened; download or record the video to a file first")


def _positive(value: float | Fraction, option: str) -> Fraction:
    """A rate as a ratio. 29.97 given as a float is meant as 2997/100, not as the binary fraction next to it."""
    if not (0 < value < math.inf):
        raise UsageError(f"{option} {value}: must be positive")
    return Fraction(str(value))
