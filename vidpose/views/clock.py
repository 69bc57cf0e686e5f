"""One clock for several videos of the same moments.

The clock's ticks are the frames of the video that has most of them. In another video a moment lies at a position
between two frames: frame 3.5 is half way from frame 3 to frame 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidpose.body.tracks import Source
from vidpose.common.errors import VidposeError

_MAX_FRAMES_APART = 2
_SAME_RATE = 1.01e-3
"""Relative difference of rates that containers confuse: 29.97 and 30."""

_IN_STEP = 0.25
"""Of a frame's time: frames whose stamps are no further apart are of one moment."""

_ON_FRAME = 0.05
"""Positions this near to a frame are that frame."""


@dataclass(frozen=True)
class CommonClock:
    """How the frames of V videos lie in time.

    Attributes:
        times: (T,) seconds of the ticks.
        positions: of each video, (T,) where its frames are at each tick; beyond its last frame NaN.
        ticks: of each video, (F,) where the ticks are at each of its frames.
    """

    times: np.ndarray
    positions: tuple[np.ndarray, ...]
    ticks: tuple[np.ndarray, ...]

    def frames_at_moments(self, video: int) -> np.ndarray:
        """(T,) the frame of a video that is nearest at each tick; -1 where it has none."""
        places = self.positions[video]
        return np.where(np.isfinite(places), np.floor(np.nan_to_num(places) + 0.5), -1).astype(np.int64)

    def moments_of_frames(self, video: int) -> np.ndarray:
        """(F,) the tick at which each frame of a video is nearest; -1 for a frame that is so at none."""
        frames = self.frames_at_moments(video)
        there = np.flatnonzero(frames >= 0)
        apart = np.abs(self.positions[video][there] - frames[there])
        # Of ticks that one frame is nearest at, the last one stays: that where it is nearest of all.
        by_distance = there[np.argsort(-apart, kind="stable")]
        moments = np.full(len(self.ticks[video]), -1)
        moments[frames[by_distance]] = by_distance
        return moments


def synchronise(sources: Sequence[Source]) -> CommonClock:
    """The clock of videos that start together and end together.

    Frame n of one is frame n of the other when their timestamps agree, but for when they begin; otherwise those decide.

    Raises:
        VidposeError: they differ in length by more than two frames, so they cannot be synchronised.
    """
    leading = max(sources, key=lambda source: source.num_frames)
    steps = [_step(source) for source in sources]
    positions, ticks = [], []
    for source, step in zip(sources, steps, strict=True):
        frames_apart = abs(source.num_frames * step - leading.num_frames * _step(leading)) / max(step, _step(leading))
        if frames_apart > _MAX_FRAMES_APART + 1e-6:
            raise VidposeError(
                f"{source.path} has {source.num_frames} frames ({source.num_frames * step:.2f} s) and {leading.path} "
                f"{leading.num_frames} ({leading.num_frames * _step(leading):.2f} s); views must be synchronised, so "
                "cut both to begin and to end together"
            )
        if _in_step(source, leading):
            position = np.arange(leading.num_frames, dtype=np.float64)
            positions.append(np.where(position < source.num_frames, position, np.nan))
            ticks.append(np.arange(source.num_frames, dtype=np.float64))
        else:
            late = source.times[0] - leading.times[0]
            times = source.times - (late if abs(late) > max(step, _step(leading)) else 0)
            positions.append(_places(leading.times, times, step))
            ticks.append(np.interp(times, leading.times, np.arange(leading.num_frames)))
    return CommonClock(leading.times, tuple(positions), tuple(ticks))


def sample(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Values (F, ...) at positions (N,) between rows, by straight lines; NaN where a row or the position is NaN."""
    known = np.isfinite(positions)
    place = np.where(known, positions, 0)
    place = np.where(np.abs(place - np.round(place)) < _ON_FRAME, np.round(place), place)
    low = np.clip(np.floor(place).astype(int), 0, len(values) - 1)
    high = np.where(place > low, np.minimum(low + 1, len(values) - 1), low)
    part = (place - low).reshape(-1, *[1] * (values.ndim - 1))
    between = values[low] + part * (values[high] - values[low])
    return np.where(known.reshape(part.shape), between, np.nan)


def _step(source: Source) -> float:
    """Seconds of a frame, on average: a container's claim of a rate can be wrong."""
    if source.num_frames < 2:
        return float(1 / source.fps) if source.fps else 1.0
    return float(source.times[-1] - source.times[0]) / (source.num_frames - 1)


def _in_step(one: Source, other: Source) -> bool:
    """Whether frame n of one is of the moment of frame n of the other.

    As many frames in two videos are the same moments, though containers state rates that differ a little.
    """
    frames, step = min(one.num_frames, other.num_frames), _step(other)
    if abs(_step(one) / step - 1) > _SAME_RATE or abs(one.num_frames - other.num_frames) > _MAX_FRAMES_APART:
        return False
    own, others = (source.times[:frames] - source.times[0] for source in (one, other))
    if one.num_frames == other.num_frames:
        own = own * (step / _step(one))
    return bool(np.abs(own - others).max() <= _IN_STEP * step)


def _places(times: np.ndarray, of: np.ndarray, step: float) -> np.ndarray:
    """Where times (N,) lie among others (M,), as positions; NaN for more than half a frame outside."""
    outside = (times < of[0] - step / 2) | (times > of[-1] + step / 2)
    return np.where(outside, np.nan, np.interp(times, of, np.arange(len(of))))
