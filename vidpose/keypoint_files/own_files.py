"""What `vidpose infer` writes beside the `.npz`: its JSON, and its table of joints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body.geometry import CAMERA_TO_Z_UP
from vidpose.body.skeletons import H36M_17, SKELETONS
from vidpose.common.cells import number_in, read_cells
from vidpose.common.inputs import reading, short
from vidpose.keypoint_files.keypoint_table import (
    MAX_FRAMES,
    KeypointTable,
    corners,
    floats,
    frame_number,
    from_one,
    table_of,
)
from vidpose.keypoint_files.markers import as_h36m, rate_of

_FORMAT_VERSION = 1
"""Of the JSON."""


def is_own_json(content: Any) -> bool:
    """Whether a JSON is the one that `vidpose infer` writes."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("header"), dict)
        and content["header"].get("format") == "vidpose-json"
    )


def read_own_json(path: Path, content: Any) -> KeypointTable:
    """The 2D keypoints of everybody in a JSON of ours.

    Raises:
        VidposeError: it is none, or a person's entry is wrong.
    """
    with reading(path, "the JSON of `vidpose infer`"):
        header, source = content["header"], content["header"]["source"]
        if header["format_version"] != _FORMAT_VERSION:
            raise ValueError(f"format {short(header['format_version'])}, of another vidpose; give the .npz beside it")
        name = header["keypoints"]["layout"]
        if name not in SKELETONS:
            raise ValueError(f"keypoints.layout is {short(name)}; known are {', '.join(SKELETONS)}")
        layout = SKELETONS[name]
        rows, boxes, times = [], [], {}
        for person in content["people"]:
            for frame in person["frames"]:
                number = frame_number(frame["frame"], "frame")
                times[number] = float(frame["time"])
                if frame["keypoints"] is not None:
                    listed = [[0, 0, 0] if one is None else one for one in frame["keypoints"]]
                    rows.append((number, frame_number(person["id"], "id"), floats(listed, "keypoints")))
                    boxes.append(corners(frame["box"]))
        fps = rate_of(source["fps"]) if source["fps"] else None
        size = (int(source["width"]), int(source["height"]))
        return table_of(
            layout, rows, boxes=boxes, num_frames=int(source["frames"]), size=size, fps=fps,
            times=_all_times(times, int(source["frames"])),
        )  # fmt: skip


def _all_times(known: dict[int, float], count: int) -> np.ndarray | None:
    """Seconds of every frame, where those of some are known; between them they are even.

    Raises:
        ValueError: there cannot be so many frames.
    """
    if not 0 < count <= MAX_FRAMES:
        raise ValueError(f"{count:g} frames, where 1 to {MAX_FRAMES} can be")
    if len(known) < 2:
        return None
    numbers = np.array(sorted(known))
    seconds = np.array([known[number] for number in numbers])
    step = (seconds[-1] - seconds[0]) / (numbers[-1] - numbers[0])
    frames = np.arange(count)
    times = np.interp(frames, numbers, seconds)
    before, after = frames < numbers[0], frames > numbers[-1]
    times[before] = seconds[0] - step * (numbers[0] - frames[before])
    times[after] = seconds[-1] + step * (frames[after] - numbers[-1])
    return times if (np.diff(times) > 0).all() else None


def is_own_csv(names: Sequence[str]) -> bool:
    """Whether a table with this first row is the CSV that vidpose describes."""
    return names[:4] == ["id", "frame", "time", "root_x"]


def read_own_csv(path: Path) -> KeypointTable:
    """The 3D joints of everybody in a table of ours, as a level camera sees them.

    Raises:
        VidposeError: it is none, or a row is wrong.
    """
    with reading(path, "the CSV of `vidpose infer`"):
        table = read_cells(path)
        _, columns = next(table)
        names = [name.removesuffix("_x") for name in columns if name.endswith("_x") and name != "root_x"]
        ids, frames, times, roots, points, scores = [], [], {}, [], [], []
        for line, cells in table:
            if len(cells) < len(columns):
                raise ValueError(f"line {line} has {len(cells)} cells, where {len(columns)} are due")
            row = {name: number_in(cell, line) for name, cell in zip(columns, cells, strict=False)}
            frames.append(frame_number(row["frame"], f"the frame of line {line}"))
            ids.append(frame_number(row["id"], f"the id of line {line}"))
            times[frames[-1]] = row["time"]
            roots.append([row[f"root_{axis}"] for axis in "xyz"])
            points.append([[row[f"{name}_{axis}"] for axis in "xyz"] for name in names])
            scores.append(np.nan_to_num([row[f"{name}_score"] for name in names]).tolist())
        if not frames:
            raise ValueError("nobody is in it")
        moments = _all_times(times, max(frames) + 1)
        place = np.array(roots)
        if not np.isfinite(place).any():
            place = np.zeros_like(place)
        joints, _, layout = as_h36m(names, np.array(points) + place[:, None])
        own = np.array(scores) if layout == H36M_17 and len(names) == len(layout) else np.ones(joints.shape[:2])
        own = np.where(np.isfinite(joints).all(axis=-1), np.maximum(own, 0.06), 0)
        there = (own > 0).any(axis=1)
        numbers, people = np.array(frames, np.int64)[there], from_one(ids)[there]
        return KeypointTable(
            layout,
            numbers,
            people,
            joints[there] @ CAMERA_TO_Z_UP.T,
            own[there],
            num_frames=max(frames) + 1,
            times=moments,
        )
