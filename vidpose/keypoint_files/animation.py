"""What the readers of motion capture formats share: the animated skeleton they give, rotations, and errors by line."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidpose.common.errors import VidposeError
from vidpose.common.inputs import read_bytes, reading

_LONGEST = 200
"""Characters of an error that anybody reads."""


@dataclass(frozen=True)
class Animation:
    """A skeleton that moves.

    Attributes:
        path: the file it was read from.
        names: of the N points, in the file's order.
        rest: (N, 3) the bone to each point from its parent, in the pose without rotations and the frame of the file.
        positions: (F, N, 3) in the frame of the file. An ASF bone is its end; a BVH joint is where it turns.
        rotations: (F, N, 3, 3) that take the skeleton at rest into the pose.
    """

    path: Path
    names: tuple[str, ...]
    rest: np.ndarray
    positions: np.ndarray
    rotations: np.ndarray

    def index(self, name: str) -> int:
        """The index of a point.

        Raises:
            VidposeError: the skeleton does not have it.
        """
        if name not in self.names:
            raise VidposeError(f"{self.path}: the skeleton has no {name!r}; is this a recording of the CMU database?")
        return self.names.index(name)


_MOST_POINTS, _MOST_PLACES = 1000, 30_000_000
"""Of a skeleton; and of one in all its frames together, which is 70 points for an hour at 120 a second."""


def check_size(path: Path, frames: int, points: int) -> None:
    """See that a movement fits into memory: points that do not turn take no room in the file.

    Raises:
        VidposeError: it is of too many frames or points.
    """
    if points > _MOST_POINTS or frames * points > _MOST_PLACES:
        raise VidposeError(
            f"{path}: {points} points in {frames} frames; {_MOST_POINTS} points, and {_MOST_PLACES:,} in all frames "
            "together, are read"
        )


def bad_line(path: Path, number: int, problem: str) -> VidposeError:
    """The error of one line of a text file; lines count from 1. What is quoted of it may be without end."""
    if len(problem) > _LONGEST:
        problem = f"{problem[:_LONGEST]}..."
    return VidposeError(f"{path}, line {number}: {problem}")


def numbered_words(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line numbers from 1 and words of the lines that have any; `#` begins a comment.

    Raises:
        VidposeError: the file cannot be read.
    """
    with reading(path, "a text of motion capture"):
        # Comments may be in any encoding; what matters is ASCII.
        text = read_bytes(path).removeprefix(codecs.BOM_UTF8).decode("ascii", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        if words := line.partition("#")[0].split():
            yield number, words


def numbers(path: Path, number: int, words: list[str], count: int) -> list[float]:
    """`count` finite numbers of a line.

    Raises:
        VidposeError: there are more or fewer, or something else.
    """
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise bad_line(path, number, f"numbers were expected, not {' '.join(words)!r}") from None
    if len(values) != count:
        raise bad_line(path, number, f"{len(values)} numbers, where {count} were expected")
    if not np.isfinite(values).all():
        raise bad_line(path, number, "a number that is not finite")
    return values


def rotations(axes: str, radians: np.ndarray) -> np.ndarray:
    """Products of rotations about coordinate axes: `axes` "zyx" gives Rz Ry Rx, of which Rx is applied first.

    Args:
        axes: of "x", "y" and "z".
        radians: (..., len(axes)) angles.

    Returns:
        (..., 3, 3).
    """
    product = np.broadcast_to(np.eye(3), (*radians.shape[:-1], 3, 3))
    for i, axis in enumerate(axes):
        product = product @ _about(axis, radians[..., i])
    return product


def _about(axis: str, radians: np.ndarray) -> np.ndarray:
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.zeros((*radians.shape, 3, 3))
    matrix[..., range(3), range(3)] = 1
    matrix[..., first, first] = matrix[..., second, second] = np.cos(radians)
    matrix[..., second, first] = np.sin(radians)
    matrix[..., first, second] = -np.sin(radians)
    return matrix
