"""Long arrays some thousand rows at a time: what is worked out on the way takes several times what is left of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np

from vidpose.body.tracks import Track

_AT_ONCE = 4096


def pieces(count: int) -> Iterator[slice]:
    """So many rows, a slice of some thousand after the other."""
    for start in range(0, count, _AT_ONCE):
        yield slice(start, min(start + _AT_ONCE, count))


def part_of(track: Track, rows: slice) -> Track:
    """A track's rows of a slice, which may skip some; nothing is copied."""
    return replace(track, **{field.name: getattr(track, field.name)[rows] for field in fields(Track)[1:]})


class ByRows(Protocol):
    """An array of whose rows some are asked for at a time; there need not be all of them at once."""

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        """The rows of a slice with a start and a stop."""
        ...


@dataclass(frozen=True)
class ComputedRows:
    """Rows that are computed whenever they are asked for."""

    of: Callable[[slice], np.ndarray]

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        """The rows of a slice with a start and a stop."""
        return self.of(rows)
