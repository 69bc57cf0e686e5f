"""Feet and hands of people in a live run, for programs that want them: they take time, and the page shows none.

As the fit of a body has them (`vidpose.refine.extremities`), over the last few frames alone and of the usual size.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np

from vidpose.body.kinematics import orientations, quaternions_of
from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PoseResult, Track
from vidpose.refine.extremities import with_extremities

_FRAMES = 4
"""That are looked at together: hands of one frame alone flip twice as often, and more than these change nothing."""


class FeetAndHands:
    """Gives people theirs, a frame at a time, in the order of the frames."""

    def __init__(self) -> None:
        self._recent: deque[PoseResult] = deque(maxlen=_FRAMES)

    def __call__(self, result: PoseResult) -> PoseResult:
        """A frame's result with `extremities` and `rotations`, where the detector shows feet and bones can turn.

        Args:
            result: with a row a track (`LiveStepper.step`).
        """
        if result.joint_layout != H36M_17.name or result.camera is None:
            return result
        rotated = result.with_tracks(tuple(_rotated(track) for track in result.tracks))
        self._recent.append(rotated)
        tracks = []
        for track in rotated.tracks:
            rows = [one for some in self._recent for one in some.tracks if one.id == track.id]
            whole = with_extremities(_together(rows), result.keypoint_layout, result.camera, usual_size=True)
            tracks.append(replace(track, extremities=whole.extremities[-1:], rotations=whole.rotations[-1:]))
        return result.with_tracks(tuple(tracks))


def _rotated(track: Track) -> Track:
    return replace(track, rotations=quaternions_of(orientations(track.joints, H36M_17)).astype(np.float32))


def _together(rows: list[Track]) -> Track:
    """Rows of one person as a track."""
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(row, name) for row in rows])
        for name, value in vars(rows[0]).items()
        if isinstance(value, np.ndarray)
    }
    return replace(rows[0], **arrays)
