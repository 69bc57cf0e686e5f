"""MediaPipe's 33 pose landmarks, as people save them: there is no file format of its own.

"Pose landmark detection guide": a landmark has `x` and `y` as shares of the picture's sides, `z`, and `visibility`.
Read are JSON lists of frames, wherever in a frame its landmarks are, and arrays (`.npy`) of frames, or frames and
people, by 33 landmarks by x, y, z and, if there is one, visibility. `landmark_csv` reads tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body.skeletons import BLAZEPOSE_33
from vidpose.common.inputs import reading
from vidpose.keypoint_files.keypoint_table import MAX_FRAMES, KeypointTable, first_of, floats, frame_number, table_of

_COUNT = len(BLAZEPOSE_33)
_WORLD = ("world_landmarks", "pose_world_landmarks", "worldLandmarks", "poseWorldLandmarks")
_MILLISECONDS = ("timestamp_ms", "timestampMs")
_DEEPEST = 6


def is_mediapipe(content: Any) -> bool:
    """Whether a JSON has MediaPipe's landmarks."""
    frames = _frames(content)
    return bool(frames) and any(next(_poses(frame), None) is not None for frame in frames[:1000])


def read_mediapipe(path: Path, content: Any) -> KeypointTable:
    """Everybody in a list of frames of landmarks.

    Raises:
        VidposeError: it is none, or a landmark is wrong; says which.
    """
    with reading(path, "a list of frames of MediaPipe's landmarks"):
        rows, numbers, moments = [], [], []
        for place, frame in enumerate(_frames(content)):
            numbered = isinstance(frame, dict)
            named = (
                next((frame[k] for k in ("frame", "frame_id", "frame_index", "index") if k in frame), place)
                if numbered
                else place
            )
            numbers.append(frame_number(named, "the number of a frame"))
            moments.append(next((frame[k] / 1000 for k in _MILLISECONDS if k in frame), None) if numbered else None)
            for pose in _poses(frame):
                rows.append((numbers[-1], None, _row(pose, place)))
        first = first_of(numbers)
        facts: dict[str, Any] = {"first": first, "num_frames": max(numbers) - first + 1}
        times = np.array([moment for moment in moments if moment is not None], np.float64)
        consecutive = numbers == list(range(first, first + len(numbers)))
        if len(times) == len(moments) and consecutive and (np.diff(times) > 0).all():
            facts["times"] = times
        return landmark_table(rows, facts)


def read_landmark_array(path: Path) -> KeypointTable:
    """Everybody in an array (frames, 33, 3 or more), or (frames, people, 33, 3 or more).

    Raises:
        VidposeError: it is none.
    """
    with reading(path, "an array (frames, 33, 3 or more) of MediaPipe's landmarks"):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.ndim == 3:
            array = array[:, None]
        if array.ndim != 4 or array.shape[2] != _COUNT or not 2 <= array.shape[3] <= 5 or len(array) > MAX_FRAMES:
            raise ValueError(f"its shape is {array.shape}")
        if array.dtype.kind not in "fiu":
            raise ValueError(f"it is of {array.dtype}")
        values = np.asarray(array, np.float64)
        scores = values[..., 3] if values.shape[-1] > 3 else np.ones(values.shape[:-1])
        rows = [
            (frame, None, np.column_stack([values[frame, person, :, :2], scores[frame, person]]))
            for frame in range(len(values))
            for person in range(values.shape[1])
            if np.isfinite(values[frame, person]).all() and values[frame, person, :, :2].any()
        ]
        return landmark_table(rows, {"num_frames": len(values)})


def landmark_table(rows: Sequence[tuple[int, int | None, np.ndarray]], facts: dict[str, Any]) -> KeypointTable:
    """Rows of 33 landmarks; raises as `table_of`."""
    return table_of(BLAZEPOSE_33, rows, **facts)


def _frames(content: Any) -> list[Any]:
    if isinstance(content, dict):
        content = next(
            (content[key] for key in ("frames", "results", "poses") if isinstance(content.get(key), list)), []
        )
    return content if isinstance(content, list) else []


def _poses(value: Any, depth: int = 0) -> Iterator[list[Any]]:
    """The lists of 33 landmarks in a frame; not those in metres."""
    if depth > _DEEPEST:
        return
    if isinstance(value, list) and len(value) == _COUNT and all(_is_landmark(one) for one in value):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _poses(one, depth + 1)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key not in _WORLD:
                yield from _poses(one, depth + 1)


def _is_landmark(value: Any) -> bool:
    if isinstance(value, dict):
        return "x" in value and "y" in value
    return isinstance(value, list) and 2 <= len(value) <= 5 and all(isinstance(one, int | float) for one in value)


def _row(pose: list[Any], place: int) -> np.ndarray:
    if isinstance(pose[0], dict):
        listed = [[one.get("x"), one.get("y"), one.get("visibility", 1.0)] for one in pose]
    else:
        listed = [[*one[:2], one[3] if len(one) > 3 else 1.0] for one in pose]
    return floats(listed, f"a landmark of frame {place + 1} of the list")
