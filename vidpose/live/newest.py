"""The newest frame and no other: a thread takes frames from their source, and whoever works on them gets the last one.

So that whoever is too slow misses frames, and what they do is never late by more than one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from vidpose.video.live_sources import LiveSource
from vidpose.video.reading import VideoFrame

_WAIT = 0.2
"""Seconds, at most, for which a wait does not notice Ctrl-C where the system's own waits do not."""


@dataclass(frozen=True)
class Captured:
    """A frame, and when it came.

    Attributes:
        at: seconds by `time.monotonic`.
        dropped: how many frames nobody got before this one, since the beginning.
    """

    frame: VideoFrame
    at: float
    dropped: int


class NewestFrames:
    """Iterates over frames of a source, each the newest there is; frames in between are dropped.

    A recording is played at its own speed. The thread ends with the source, or at `close`, which closes the source.
    What the source raises is raised here.
    """

    def __init__(self, source: LiveSource) -> None:
        self._source = source
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._waiting: Captured | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._take, daemon=True)

    def __iter__(self) -> Iterator[Captured]:
        self._thread.start()
        while True:
            with self._changed:
                while self._waiting is None and self._thread.is_alive():
                    self._changed.wait(_WAIT)
                captured, self._waiting = self._waiting, None
            if captured is not None:
                yield captured
            elif self._error is not None:
                raise self._error
            else:
                return

    def close(self) -> None:
        """Take no frame any more. The thread may wait for its source for a moment longer, and harms nobody."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(2 * _WAIT)
        else:
            self._source.close()

    def __enter__(self) -> NewestFrames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self) -> None:
        dropped, started = 0, time.monotonic()
        try:
            for frame in self._source:
                if self._source.is_recorded:
                    self._stopped.wait(max(0.0, started + frame.time - time.monotonic()))
                if self._stopped.is_set():
                    break
                with self._changed:
                    dropped += self._waiting is not None
                    self._waiting = Captured(frame, time.monotonic(), dropped)
                    self._changed.notify()
        except BaseException as error:
            self._error = error
        finally:
            self._source.close()
            with self._changed:
                self._changed.notify()
