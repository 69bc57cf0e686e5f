"""Where a video begins anew: at cuts, which are seen by how the picture changes, and after long pauses.

Two pictures of one shot have the same fine structure, as far as the camera has not moved on; of two shots they have
not. So each picture, made small, is correlated with the one before, in place and moved about. A change of light alone
leaves structure as it is. Cuts between shots of one scene, which a person in the same place survives, may pass.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from vidpose.common.errors import VidposeError
from vidpose.common.inputs import read_text, reading
from vidpose.video.reading import VideoFrame

_log = logging.getLogger(__name__)

_MAX_BYTES = 10_000_000
"""Of a list of cuts."""

_SIZE = (64, 48)
_COARSE = 6.0
"""Pixels of the small picture; slower changes of brightness are no structure."""

_MARGIN = (14, 10)
"""Pixels of the small picture that a camera moves in one frame at most."""

_BLANK = 1.0
"""Deviation of the structure of a picture that shows nothing, in grey levels."""

_DIFFERENT = 2.5
"""Mean difference, in levels of the Lab colours; less is noise in the dark."""

_UNLIKE, _LIKE = 0.45, 0.7
"""Correlation in place, of other shots at most, and of one shot at least."""

_UNLIKE_ANYWHERE, _PERHAPS_UNLIKE = 0.55, 0.8
"""Correlation in the best place, of other shots at most: where motion goes on, and where it does not."""

_SUDDEN, _OUT_OF_STILLNESS = 2.5, 5.0
"""How many times more the picture changes at a cut than in the frames about it; out of stillness a cut shows even
between shots that are somewhat alike."""

_LOOK_AHEAD = 2
"""Frames; a flash, or a frame of something else, is over by then."""

_LONG_PAUSE = 60.0
"""Seconds, after which whoever is there is taken for somebody else."""

_UNUSUAL = 2.5
"""Of the usual interval: a video of one picture an hour has no pauses."""


_INTERVALS = 100
"""Between frames, of which the usual one is the median."""

LOOKS_BACK = _INTERVALS + _LOOK_AHEAD + 2
"""Frames that decide whether a shot begins with the next."""


@dataclass(frozen=True)
class GivenCuts:
    """Where somebody said that shots begin."""

    frames: frozenset[int] = frozenset()
    seconds: tuple[float, ...] = ()

    def check_length(self, path: str | Path, times: np.ndarray) -> None:
        """Warn where a cut comes after the last frame of a whole video.

        Args:
            path: of the file that says so.
            times: (F,) seconds of the frames.
        """
        late = [f"frame {frame}" for frame in sorted(self.frames) if frame >= len(times)]
        late += [f"{second:g} s" for second in self.seconds if second > times[-1]]
        if late:
            _log.warning(
                "%s: has a cut at %s, but the video ends with frame %d, at %.2f s; is it another video's file?",
                path, late[-1], len(times) - 1, times[-1],
            )  # fmt: skip


def load_cuts(path: Path) -> GivenCuts:
    """Read a text file with a cut a line: a frame's number, from 0, or seconds with a point or colon, as 12.5 or 1:02.

    Raises:
        VidposeError: it cannot be read, or a line is neither.
    """
    with reading(path, "a list of cuts", "give a text file with a cut a line"):
        lines = read_text(path, _MAX_BYTES).splitlines()
    frames, seconds = set(), []
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].strip()
        clock = re.fullmatch(r"(?:(?:(\d{1,9}):)?(\d{1,9}):)?(\d{1,15}(?:\.\d*)?)", words)
        if words and not clock:
            raise VidposeError(
                f"{path}, line {number}: {words[:40]!r} is no cut; write a frame's number, or seconds as in 12.5"
            )
        if words.isdecimal():
            frames.add(int(words))
        elif clock:
            hours, minutes, rest = clock.groups()
            seconds.append(3600 * int(hours or 0) + 60 * int(minutes or 0) + float(rest))
    return GivenCuts(frozenset(frames), tuple(sorted(seconds)))


@dataclass(frozen=True)
class _Signature:
    """A picture made small: its colours (Lab), and their fine structure."""

    colours: np.ndarray
    structure: np.ndarray

    @staticmethod
    def of(image: np.ndarray) -> _Signature:
        small = cv2.resize(image, _SIZE, interpolation=cv2.INTER_AREA)
        colours = cv2.cvtColor(small, cv2.COLOR_RGB2Lab).astype(np.float32)
        grey = colours[..., 0]
        return _Signature(colours, grey - cv2.GaussianBlur(grey, (0, 0), _COARSE))

    @property
    def is_blank(self) -> bool:
        return float(self.structure.std()) < _BLANK

    def difference(self, other: _Signature) -> float:
        return float(np.abs(self.colours - other.colours).mean())

    def likeness(self, other: _Signature) -> float:
        """Correlation of the structures in place, -1 to 1."""
        a, b = self.structure, other.structure
        return float((a * b).sum() / max(np.sqrt(np.square(a).sum() * np.square(b).sum()), 1e-6))

    def likeness_anywhere(self, other: _Signature) -> float:
        """The same where the other is moved to fit best."""
        x, y = _MARGIN
        return float(cv2.matchTemplate(self.structure, other.structure[y:-y, x:-x], cv2.TM_CCOEFF_NORMED).max())


@dataclass
class ShotFinder:
    """Says of each frame whether a shot begins with it.

        shots = ShotFinder()
        for frame, begins in shots(reader): ...

    Args:
        given: where cuts are; None: look for them.

    Attributes:
        cuts: numbers of the frames that shots begin with, so far, but for the first and those after long pauses.
        lit: where the picture goes dark, and where it is light again, so far: the frame's number, and the seconds of
            the last one that showed something; None where it is light.
    """

    given: GivenCuts | None = None
    cuts: list[int] = field(default_factory=list)
    lit: list[tuple[int, float | None]] = field(default_factory=list)

    def seen_last(self, frame: int) -> float | None:
        """Seconds of the last picture that showed something, of a frame in the dark; None of another frame.

        What comes out of the dark is compared with it.
        """
        return next((seconds for number, seconds in reversed(self.lit) if number <= frame), None)

    def __call__(self, frames: Iterable[VideoFrame]) -> Iterator[tuple[VideoFrame, bool]]:
        """The frames, in order, each with whether nothing before belongs to it."""
        last_time: float | None = None
        intervals: deque[float] = deque(maxlen=_INTERVALS)
        for frame, is_cut in self._with_cuts(frames):
            paused = False
            if last_time is not None:
                interval = frame.time - last_time
                paused = bool(intervals) and interval > max(_LONG_PAUSE, _UNUSUAL * float(np.median(intervals)))
                intervals.append(interval)
            last_time = frame.time
            if is_cut:
                self.cuts.append(frame.index)
            yield frame, is_cut or paused

    def _with_cuts(self, frames: Iterable[VideoFrame]) -> Iterator[tuple[VideoFrame, bool]]:
        if self.given is not None:
            return self._as_given(frames, self.given)
        return self._as_seen(frames)

    def _as_given(self, frames: Iterable[VideoFrame], given: GivenCuts) -> Iterator[tuple[VideoFrame, bool]]:
        seconds, first = deque(given.seconds), True
        for frame in frames:
            is_cut = frame.index in given.frames
            while seconds and frame.time >= seconds[0] - 1e-6:
                seconds.popleft()
                is_cut = True
            yield frame, is_cut and not first
            first = False

    def _as_seen(self, frames: Iterable[VideoFrame]) -> Iterator[tuple[VideoFrame, bool]]:
        before: deque[_Signature] = deque(maxlen=_LOOK_AHEAD + 1)
        shown: _Signature | None = None
        last_lit = 0.0
        waiting: deque[tuple[VideoFrame, _Signature]] = deque()

        def done() -> tuple[VideoFrame, bool]:
            nonlocal shown, last_lit
            frame, own = waiting.popleft()
            is_cut = _is_cut(list(before), own, [later for _, later in waiting], shown)
            if is_cut:
                before.clear()
            if shown is not None and before and own.is_blank != before[-1].is_blank:
                self.lit.append((frame.index, last_lit if own.is_blank else None))
            before.append(own)
            if not own.is_blank:
                shown, last_lit = own, frame.time
            return frame, is_cut

        for frame in frames:
            waiting.append((frame, _Signature.of(frame.image)))
            if len(waiting) > _LOOK_AHEAD:
                yield done()
        while waiting:
            yield done()


def _is_cut(before: list[_Signature], own: _Signature, after: list[_Signature], shown: _Signature | None) -> bool:
    """Whether a shot begins with a picture.

    Args:
        before, after: the pictures about it that are known.
        shown: the last one that showed something.
    """
    if not before or shown is None or own.is_blank:
        return False
    last = before[-1]
    if last.is_blank:  # out of the dark
        return own.likeness(shown) < _UNLIKE and own.likeness_anywhere(shown) < _PERHAPS_UNLIKE
    change, likeness = own.difference(last), own.likeness(last)
    if change < _DIFFERENT or likeness > _LIKE:
        return False
    if any(later.likeness(earlier) > _LIKE for later in after for earlier in before):
        return False
    anywhere = max(own.likeness_anywhere(last), last.likeness_anywhere(own))
    about = [b.difference(a) for a, b in (*pairwise(before), *pairwise([own, *after]))]
    times_as_much = change / max([*about, 0.1])
    if times_as_much > _OUT_OF_STILLNESS:
        return anywhere < _PERHAPS_UNLIKE
    is_sudden = times_as_much > _SUDDEN
    return likeness < _UNLIKE and (anywhere < _UNLIKE_ANYWHERE or (is_sudden and anywhere < _PERHAPS_UNLIKE))
