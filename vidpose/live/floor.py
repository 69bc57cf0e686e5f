"""Where the floor is under a camera that stands level, as far as the feet so far tell."""

from __future__ import annotations

from collections import deque

import numpy as np

from vidpose.body.tracks import PoseResult
from vidpose.export.placing import floor_below

_REMEMBERED = 600
"""Poses that the floor is found from: of one person, some twenty seconds."""


class FloorBelow:
    """The height of the floor, camera's frame with y up: below most of the lowest joints of late."""

    def __init__(self) -> None:
        self._lowest: deque[float] = deque(maxlen=_REMEMBERED)

    def __call__(self, result: PoseResult) -> float:
        """Metres, after one more frame; 0 where nobody's place is known yet."""
        for track in result.tracks:
            heights = -(track.joints + track.roots[:, None])[..., 1]
            self._lowest.extend(heights.min(axis=1)[np.isfinite(heights).all(axis=1)].tolist())
        return floor_below([np.array(self._lowest)]) if self._lowest else 0.0
