"""Which seconds of a video someone means, read from text."""

from __future__ import annotations

import math
import re

from vidpose.common.errors import UsageError
from vidpose.common.inputs import short

_SECONDS = re.compile(r"\d+(\.\d*)?|\.\d+")
_UNITS = {"s": 1, "m": 60, "h": 3600}
_CLOCK = re.compile(r"(?:(\d{1,9}):)?(\d{1,9}):(\d{2}(?:\.\d*)?)")


def parse_time(text: str) -> float:
    """Seconds, from plain seconds (`62.5`) or from a clock's minutes and seconds, with or without hours (`1:02.5`).

    Raises:
        UsageError: it reads otherwise.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, seconds = int(clock[1] or 0), int(clock[2]), float(clock[3])
        if seconds < 60 and (minutes < 60 or clock[1] is None):
            return 3600 * hours + 60 * minutes + seconds
    raise UsageError(f"{short(text)} is no time; write seconds, as in 62.5, or minutes and seconds, as in 1:02.5")


def parse_length(text: str) -> float:
    """Seconds of a stretch of time: as `parse_time`, or with a unit, `90s`, `10m` or `1.5h`.

    Raises:
        UsageError: it reads otherwise, or is nothing.
    """
    number, unit = text.strip()[:-1].strip(), text.strip()[-1:].lower()
    seconds = float(number) * _UNITS[unit] if unit in _UNITS and _SECONDS.fullmatch(number) else parse_time(text)
    if not seconds:
        raise UsageError(f"{short(text)} is no time at all; write a longer one, as in 90s, 10m or 1h")
    return seconds


def parse_time_range(text: str) -> tuple[float | None, float | None]:
    """Seconds (start, end) of a range; None where it has no start or no end.

    `START-END`: each as `parse_time` takes it. `START:END`: plain seconds. Either side may be left out: `2:10` and
    `0:02-0:10` are from second 2 to second 10, `2:` and `0:02-` to the end, `:10` and `-0:10` from the beginning.

    Raises:
        UsageError: it reads otherwise, or its end is not after its start.
    """
    sides = text.split("-") if "-" in text else text.split(":")
    if len(sides) != 2:
        raise UsageError(f"{short(text)} is no time range; write START-END, as in 0:02-0:10, or START:END in seconds")
    return _checked(text, *(parse_time(side) if side.strip() else None for side in sides))


def chosen_times(
    time_range: str | None = None, start: str | None = None, end: str | None = None
) -> tuple[float | None, float | None]:
    """Seconds (start, end) asked for, by a range or by either of its ends; None: from the beginning, to the end.

    Args:
        time_range: as `parse_time_range` takes it.
        start, end: as `parse_time` takes them.

    Raises:
        UsageError: a range is given and an end of it, too; one of them reads otherwise; the end is not after the start.
    """
    if time_range is None:
        sides = (None if side is None else parse_time(side) for side in (start, end))
        return _checked(f"{start or ''}-{end or ''}", *sides)
    if start is not None or end is not None:
        raise UsageError(f"time {time_range}: says where to start and to end already; give either, not both")
    return parse_time_range(time_range)


def _checked(text: str, start: float | None, end: float | None) -> tuple[float | None, float | None]:
    if not (start or 0) < (math.inf if end is None else end):
        raise UsageError(f"{text!r} holds no time; its end must come after its start")
    return start, end
