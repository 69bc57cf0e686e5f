"""Work on several things of different sizes, counted for whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Progress = Callable[[int, int | None], None]
"""Called with the number of units done, and the number expected, which is a hint or None."""

ProgressOf = Callable[[str, str], AbstractContextManager[Progress]]
"""Gives, for a label and what is counted ("frames"), a block in which to call what it yields."""


def unseen(label: str, unit: str) -> AbstractContextManager[Progress]:
    """A `ProgressOf` that shows nothing."""
    return nullcontext(lambda done, total: None)


class Tally:
    """Adds up what is done, in whatever shares it comes, and tells of whole units.

    Args:
        total: units to do.
        progress: called with the units done and the total each time that there are more; None: nobody watches.
    """

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress = total, progress
        self._finished, self._done = 0, 0.0

    def add(self, units: float) -> None:
        """So many more units of the thing at hand are done."""
        self._done += units
        if self._progress:
            self._progress(min(round(self._done), self._total), self._total)

    def finish(self, units: int) -> None:
        """The thing at hand is done, which is so many units, however many of them were worth the work."""
        self._finished += units
        self.add(self._finished - self._done)
