"""When a file's keypoints were seen: its own clock, and the frames of the video.

Times count from the video's start, as vidpose writes them. A clock that shows more than `_LATEST` at the first frame is
another one, as the time of day or since 1970, and so is one below 0: then the first frame is the start.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidpose.body.tracks import Source
from vidpose.common.errors import VidposeError
from vidpose.keypoint_files import KeypointTable

log = logging.getLogger(__name__)

_LATEST = 6 * 3600.0
"""Seconds of a video before a file's first frame."""

_MOST_BEFORE = 10**7
"""Frames before it."""

_LOOSE = 0.1
"""Of a step from frame to frame, that it may differ from the rate that the file states."""

_ROUNDING = 0.01
"""Of a step from frame to frame: times are written with few digits."""


def since_start(table: KeypointTable) -> KeypointTable:
    """The table without a video: its times count from the start, and the frames before its first are there, empty."""
    if table.times is None:
        return table
    times = table.times
    step = _step(times)
    if table.fps and (not step or abs(step * table.fps - 1) < _LOOSE):
        step = 1 / float(table.fps)  # which is exact, where times are rounded
    before = int(times[0] / step + _ROUNDING) if step and 0 <= times[0] <= _LATEST else _MOST_BEFORE + 1
    if before > _MOST_BEFORE:
        return replace(table, times=times - times[0])
    if not table.by_time or not before:
        return table
    earlier = np.maximum(times[0] - step * np.arange(before, 0, -1), 0)
    return replace(
        table,
        frames=table.frames + before,
        num_frames=len(times) + before,
        times=np.concatenate([earlier, times]),
    )


def at_times(path: Path, table: KeypointTable, source: Source, slow_motion: float | Fraction) -> KeypointTable:
    """The table with the numbers of a video's frames, each the nearest in time; without what is of no frame.

    Raises:
        VidposeError: nothing is of any.
    """
    assert table.times is not None
    step = _step(source.times) or np.inf
    times = table.times
    # Our own times of slow motion are those of life already; other programs' are the video's.
    slower = float(slow_motion)
    if slower != 1 and abs(_step(times) / slower - step) < abs(_step(times) - step):
        times = times / slower
    if times[-1] < source.times[0] - step or times[0] > source.times[-1] + step:
        log.warning(
            "%s: its clock shows %.2f s at its first frame, and the video ends at %.2f s; it is taken to begin with "
            "the video",
            path, times[0], source.times[-1],
        )  # fmt: skip
        times = times - times[0] + source.times[0]
    moments = times[table.frames]
    after = np.searchsorted(source.times, moments).clip(0, source.num_frames - 1)
    before = np.maximum(after - 1, 0)
    frames = np.where(moments - source.times[before] < source.times[after] - moments, before, after)
    off = np.abs(moments - source.times[frames])
    if moments.max() > source.times[-1] + step:
        log.warning(
            "%s: goes on to %.2f s, but the video ends at %.2f s; is it another video's file?",
            path, moments.max(), source.times[-1],
        )  # fmt: skip
    # Of several rows of one frame, as of a camera of more frames a second, the nearest stays.
    people = np.zeros(len(frames), np.int64) if table.ids is None else table.ids
    order = np.lexsort((off, frames, people))
    order = order[off[order] <= step]
    _, firsts = np.unique(np.stack([people[order], frames[order]]), axis=1, return_index=True)
    rows = np.sort(order[firsts])
    if not len(rows):
        raise VidposeError(f"{path}: none of its moments is one of the video's frames; is it another video's file?")
    return table.at(rows, frames[rows])


def _step(times: np.ndarray) -> float:
    """Seconds from frame to frame, as usual; 0 where there is one frame alone."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0
