"""What goes out of a live run, a frame at a time, and what every way out is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from vidpose.body.tracks import PoseResult
from vidpose.live.newest import Captured


@dataclass(frozen=True)
class LiveFrame:
    """One frame, and who is in it.

    Attributes:
        captured: the picture, its number and times.
        result: everybody, with a row each (`LiveStepper.step`).
        floor: metres, the height of the floor in the camera's frame with y up (`FloorBelow`).
    """

    captured: Captured
    result: PoseResult
    floor: float

    def latency(self) -> float:
        """Milliseconds since the picture came."""
        return 1e3 * (time.monotonic() - self.captured.at)


class Outlet(Protocol):
    """A way out: sends frames to other programs, and waits for none of them."""

    def send(self, frame: LiveFrame) -> None: ...

    def close(self) -> None: ...
