"""How much of a video its page holds: all of a short one, and of a long one as much as a browser opens.

A browser has to hold the whole page, and no string of 512 MB. So frames are left out of long videos, for the film and
the people alike: whatever is shown still belongs to one moment, and nothing has to be guessed in between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from vidpose.body.pieces import part_of
from vidpose.body.tracks import PoseResult, Source, Track

_AROUND = 1.0
"""Seconds before the first person and after the last one that are kept."""

_SHORT = 9_000
"""Frames, five minutes of 30 a second, that are told with all that is known of them."""

_MOST_FRAMES = 60_000
"""Somewhat more than an hour of 15 a second: fewer a second look like stumbling."""

_MOST_POSES = 120_000
"""Of all people together; up to 300 bytes each in the page, and 1.1 kB in the browser."""

_MOST_FILM = 40_000_000
"""Bytes; a third more in the page."""

_LONGEST_SIDE = 640
"""Pixels; larger videos are scaled down."""

_BITS_PER_PIXEL = 0.06
"""With less than this, H.264 looks better at a smaller size."""


@dataclass(frozen=True)
class PageLength:
    """What of a video is shown.

    Attributes:
        frames: their numbers in the video, evenly apart.
        film_bytes: what their film may take; None: what it takes.
    """

    frames: range
    film_bytes: int | None = None

    @property
    def is_long(self) -> bool:
        """Whether the page has to be brief about each frame."""
        return self.film_bytes is not None

    @staticmethod
    def of(result: PoseResult) -> PageLength:
        """That of a result's page."""
        frames = frames_to_show(result)
        if len(frames) <= _SHORT:
            return PageLength(frames)
        poses = sum(len(track) for track in result.tracks)
        step = math.ceil(max(len(frames) / _MOST_FRAMES, poses / _MOST_POSES))
        return PageLength(frames[::step], _MOST_FILM)

    def film_size(self, source: Source) -> tuple[int, int]:
        """(width, height) in pixels of the film of a video."""
        scale = min(1, _LONGEST_SIDE / max(source.width, source.height))
        if self.film_bytes is not None:
            pixels = 8 * self.film_bytes / len(self.frames) / _BITS_PER_PIXEL
            scale = min(scale, math.sqrt(pixels / (source.width * source.height)))
        # Even, as the codec wants them: the writer would add a row or a column, and shift the picture under skeletons.
        width, height = (max(2, 2 * round(scale * side / 2)) for side in (source.width, source.height))
        return width, height


def frames_to_show(result: PoseResult) -> range:
    """Numbers of the frames from a second before the first person to a second after the last; all, without people."""
    times = result.source.times
    if not result.tracks:
        return range(len(times))
    start = min(track.times[0] for track in result.tracks) - _AROUND
    end = max(track.times[-1] for track in result.tracks) + _AROUND
    return range(int(np.searchsorted(times, start)), int(np.searchsorted(times, end, side="right")))


def only(result: PoseResult, frames: range) -> PoseResult:
    """A result as if its video had these frames alone, which begin before all tracks; who is in none is not in it."""
    source = replace(result.source, times=result.source.times[frames.start : frames.stop : frames.step], cuts=())
    tracks = tuple(_only(track, frames) for track in result.tracks)
    return replace(result, source=source, tracks=tuple(track for track in tracks if len(track)))


def _only(track: Track, frames: range) -> Track:
    rows = slice((frames.start - int(track.frames[0])) % frames.step, None, frames.step)
    part = part_of(track, rows)
    return replace(part, frames=(part.frames - frames.start) // frames.step)
