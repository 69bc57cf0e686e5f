"""MediaPipe's landmarks as tables: people write these themselves, and each calls the columns otherwise.

A row is a frame with columns such as `x1`, `landmark_0_x` or `LEFT_HIP_x`, or it is one landmark of a frame, with
columns for the frame, for which landmark it is, and for x and y.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body.skeletons import BLAZEPOSE_33
from vidpose.common.cells import number_in, read_cells
from vidpose.common.inputs import reading, short
from vidpose.keypoint_files.keypoint_table import KeypointTable, first_of, frame_number
from vidpose.keypoint_files.mediapipe_landmarks import landmark_table

_COUNT = len(BLAZEPOSE_33)
_AXES = {"x": 0, "y": 1, "v": 2, "vis": 2, "visibility": 2, "score": 2, "confidence": 2}
_DEEP = ("z", "presence")
_FILLING = {"pose", "body", "landmark", "landmarks", "lm", "kp", "keypoint", "point", "joint"}
"""Words around a landmark's number or name."""

_FRAME = ("frame", "frame_number", "frame_id", "frame_index", "frame_idx", "frame_num", "frame_no", "frameid")
_LANDMARK = ("landmark", "landmark_id", "landmark_index", "landmark_name", "joint", "keypoint", "name", "index", "id")
_PERSON = ("person", "person_id", "pose_id", "pose_index", "track_id")
_SECONDS = {"timestamp_ms": 1e-3, "time_ms": 1e-3, "time": 1.0, "time_s": 1.0, "seconds": 1.0}
_NEEDED = tuple(BLAZEPOSE_33.index(f"{side}_{part}") for side in ("left", "right") for part in ("shoulder", "hip"))


Line = tuple[int, list[str]]
"""The number of a line, and its cells."""


def is_landmark_csv(names: Sequence[str]) -> bool:
    """Whether a table with this first row is one of landmarks."""
    return bool(_wide(names)) or _is_long(names)


def read_landmark_csv(path: Path) -> KeypointTable:
    """Everybody in a table of landmarks.

    Raises:
        VidposeError: it is none, or a cell is wrong; says which.
    """
    with reading(path, "a table of MediaPipe's landmarks"):
        (_, names), *lines = read_cells(path)
        places = {name.lower(): number for number, name in reversed(list(enumerate(names)))}
        for number, cells in lines:
            if len(cells) < len(names):
                raise ValueError(f"line {number} has {len(cells)} cells, where {len(names)} are due")
        frames = _frames(places, lines)
        rows = _of_long(places, lines, frames) if _is_long(names) else _of_wide(names, places, lines, frames)
        first = first_of(frames)
        facts: dict[str, Any] = {"first": first, "num_frames": max(frames, default=0) - first + 1}
        times = _times(places, lines, frames)
        if times is not None and len(times) == facts["num_frames"]:
            facts["times"] = times
        return landmark_table(rows, facts)


def _wide(names: Sequence[str]) -> dict[tuple[int, int], int]:
    """(landmark, axis) -> column, of a table with a row a frame; empty where it is none."""
    found: dict[tuple[str, int], int] = {}
    for column, name in enumerate(names):
        words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]
        ends = [word for word in words[-1:] + words[:1] if word in _AXES or word in _DEEP]
        if not ends or ends[0] in _DEEP or "world" in words:
            continue
        rest = [word for word in words if word not in _FILLING]
        rest.remove(ends[0])
        found.setdefault(("_".join(rest), _AXES[ends[0]]), column)
    numbers = {int(which) for which, _ in found if which.isdigit()}
    base = 1 if min(numbers, default=0) == 1 and _COUNT in numbers else 0
    landmarks = {(_landmark(which, base), axis): column for (which, axis), column in found.items()}
    landmarks = {place: column for place, column in landmarks.items() if place[0] >= 0}
    return landmarks if all((joint, axis) in landmarks for joint in _NEEDED for axis in (0, 1)) else {}


def _landmark(which: str, base: int) -> int:
    """The index of a landmark by its number or its name; -1 where there is none."""
    if which.isdigit():
        return int(which) - base if base <= int(which) < _COUNT + base else -1
    part, _, side = which.rpartition("_")
    if side in ("left", "right"):  # MediaPipe's own MOUTH_LEFT
        which = f"{side}_{part}"
    return BLAZEPOSE_33.joints.index(which) if which in BLAZEPOSE_33.joints else -1


def _is_long(names: Sequence[str]) -> bool:
    lowered = {name.lower() for name in names}
    return {"x", "y"} <= lowered and bool(lowered & {*_LANDMARK}) and bool(lowered & {*_FRAME})


def _column(places: Mapping[str, int], names: Sequence[str]) -> int | None:
    return next((places[name] for name in names if name in places), None)


def _frames(places: Mapping[str, int], lines: Sequence[Line]) -> list[int]:
    """The frame of each line."""
    column = _column(places, _FRAME)
    if column is None:
        return list(range(len(lines)))
    return [frame_number(cells[column], f"the frame of line {line}") for line, cells in lines]


def _times(places: Mapping[str, int], lines: Sequence[Line], frames: Sequence[int]) -> np.ndarray | None:
    """Seconds of the frames in their order, where the table says them."""
    name = next((name for name in _SECONDS if name in places), None)
    if name is None:
        return None
    known = {
        frame: number_in(cells[places[name]], line) * _SECONDS[name]
        for frame, (line, cells) in zip(frames, lines, strict=True)
    }
    times = np.array([known[frame] for frame in sorted(known)])
    return times if np.isfinite(times).all() and (np.diff(times) > 0).all() else None


def _of_wide(
    names: Sequence[str], places: Mapping[str, int], lines: Sequence[Line], frames: Sequence[int]
) -> list[tuple[int, int | None, np.ndarray]]:
    columns = _wide(names)
    with_scores = any(axis == 2 for _, axis in columns)
    person, rows = _column(places, _PERSON), []
    for frame, (line, cells) in zip(frames, lines, strict=True):
        values = np.zeros((_COUNT, 3))
        if not with_scores:
            values[[joint for joint, _ in columns], 2] = 1
        for (joint, axis), column in columns.items():
            values[joint, axis] = number_in(cells[column], line)
        if np.nan_to_num(values[:, :2]).any():
            rows.append((frame, _person(person, line, cells), values))
    return rows


def _of_long(
    places: Mapping[str, int], lines: Sequence[Line], frames: Sequence[int]
) -> list[tuple[int, int | None, np.ndarray]]:
    which, person = _column(places, _LANDMARK), _column(places, _PERSON)
    score = _column(places, [name for name, axis in _AXES.items() if axis == 2])
    assert which is not None
    called = [cells[which].lower().replace(" ", "_").rpartition(".")[2] for _, cells in lines]
    base = 1 if str(_COUNT) in called and "0" not in called else 0
    people: dict[tuple[int, int | None], np.ndarray] = {}
    for frame, (line, cells), name in zip(frames, lines, called, strict=True):
        landmark = _landmark(name, base)
        if landmark < 0:
            raise ValueError(f"line {line}: landmark {short(name)}, which MediaPipe's pose does not have")
        key = (frame, _person(person, line, cells))
        values = people.setdefault(key, np.zeros((_COUNT, 3)))
        values[landmark] = [number_in(cells[places[axis]], line) for axis in "xy"] + [
            1.0 if score is None else number_in(cells[score], line)
        ]
    return [(frame, number, values) for (frame, number), values in people.items()]


def _person(column: int | None, line: int, cells: Sequence[str]) -> int | None:
    """Who it is, where the table says."""
    return None if column is None else frame_number(number_in(cells[column], line), f"the person of line {line}")
