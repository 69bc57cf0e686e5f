"""Where a person's root is, frame by frame as they come: the path of `roots.py` with no look ahead.

What `smooth_path` minimises over a stretch is what a Kalman filter and the smoother that runs back through it agree on,
for a root whose acceleration is white noise of spectral density 1 / lambda. The filter alone knows only what has been.
"""

from __future__ import annotations

import numpy as np

from vidpose.body.stretches import MAX_GAP
from vidpose.refine.roots import STIFFNESS

_FIRST_SECONDS = 1 / 30
"""For which the first frame of all stands."""

_ANY_PLACE, _ANY_SPEED = 100.0, 1.0
"""Metres, and metres a second: standard deviations of what is taken for known of somebody who has just come."""


class CausalPath:
    """The path of one person's root joint, a frame at a time.

    Shape suffixes: S = 6, place and velocity.
    """

    def __init__(self) -> None:
        self._time = -np.inf
        self._begin()

    def _begin(self) -> None:
        self._state_S = np.zeros(6)
        self._doubt_SS = np.diag(np.repeat(np.square([_ANY_PLACE, _ANY_SPEED]), 3))

    def __call__(self, root_3: np.ndarray, known_33: np.ndarray, time: float) -> np.ndarray:
        """The place after one more frame.

        Args:
            root_3, known_33: the frame's own answer, a row of `roots.frame_roots`.
            time: seconds, later than the frame before.

        Returns:
            (3,) metres in the camera's frame: as far as the frames so far tell, moved on where this one tells nothing;
            NaN before any has told something, and once none has for longer than may be bridged.
        """
        seconds = time - self._time
        if known_33[0, 0] > 0:
            if seconds > MAX_GAP:
                self._begin()
                seconds = _FIRST_SECONDS
            else:
                self._move_on(seconds)
            self._learn(root_3, np.linalg.inv(known_33 * seconds))
            self._time = time
            return self._state_S[:3].copy()
        if seconds > MAX_GAP:
            return np.full(3, np.nan)
        return self._state_S[:3] + seconds * self._state_S[3:]

    def _move_on(self, seconds: float) -> None:
        step_SS = np.eye(6)
        step_SS[:3, 3:] = seconds * np.eye(3)
        noise_22 = np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]]) / STIFFNESS
        self._state_S = step_SS @ self._state_S
        self._doubt_SS = step_SS @ self._doubt_SS @ step_SS.T + np.kron(noise_22, np.eye(3))

    def _learn(self, root_3: np.ndarray, noise_33: np.ndarray) -> None:
        gain_S3 = self._doubt_SS[:, :3] @ np.linalg.inv(self._doubt_SS[:3, :3] + noise_33)
        self._state_S = self._state_S + gain_S3 @ (root_3 - self._state_S[:3])
        self._doubt_SS = self._doubt_SS - gain_S3 @ self._doubt_SS[:3]
