"""What a live run saw, as a result to save."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from vidpose.body.tracks import PoseResult, Track


class LiveRecording:
    """Gathers frames, in memory."""

    def __init__(self) -> None:
        self.frames: list[PoseResult] = []

    def add(self, result: PoseResult) -> None:
        """One more frame, a row for everybody in it."""
        self.frames.append(result)

    def result(self) -> PoseResult:
        """The frames so far, one at least, numbered from 0: those that were dropped are in none."""
        first, times = self.frames[0], np.concatenate([some.source.times for some in self.frames])
        rows: dict[int, dict[int, Track]] = {}
        for number, some in enumerate(self.frames):
            for track in some.tracks:
                rows.setdefault(track.id, {})[number] = track
        tracks = tuple(_joined(some, times) for some in rows.values())
        return replace(first, source=replace(first.source, times=times), tracks=tracks)


def _joined(rows: dict[int, Track], times: np.ndarray) -> Track:
    """One person's rows, by frame, as a track: absent where they were not seen."""
    numbers = np.array(list(rows))
    frames = np.arange(numbers[0], numbers[-1] + 1)
    first = rows[int(numbers[0])]
    joined: dict[str, Any] = {}
    for name, value in vars(first).items():
        if isinstance(value, np.ndarray) and name not in ("frames", "times"):
            absent = 0 if name.endswith("scores") else np.nan
            joined[name] = np.full((len(frames), *value.shape[1:]), absent, value.dtype)
            joined[name][numbers - numbers[0]] = [getattr(row, name)[0] for row in rows.values()]
    return replace(first, frames=frames, times=times[frames], **joined)
