"""DeepLabCut's results: CSV, and the HDF5 that pandas writes.

"DeepLabCut user guide": columns of scorer, individuals if there are several, bodyparts, and coords x, y, likelihood; a
row a frame, whose number, or whose picture, comes first. Body parts have the names that their labellers gave them.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.common.cells import number_in, read_cells
from vidpose.common.inputs import reading, short
from vidpose.keypoint_files.joint_names import named_layout
from vidpose.keypoint_files.keypoint_table import MAX_FRAMES, KeypointTable, counting_place, frame_number, table_of

Column = tuple[str, ...]
"""Scorer, individual if any, body part, coordinate."""


def is_deeplabcut(names: Sequence[str]) -> bool:
    """Whether a table with this first row is DeepLabCut's."""
    return names[:1] == ["scorer"]


def read_deeplabcut_csv(path: Path) -> KeypointTable:
    """Everybody in a CSV of DeepLabCut's.

    Raises:
        VidposeError: it is none, or its body parts are no body's; says what is wrong.
    """
    with reading(path, "a CSV of DeepLabCut's"):
        rows = list(read_cells(path))
        levels = ["scorer", "individuals", "bodyparts", "coords"]
        heads = []
        while rows and rows[0][1][0] in levels:
            heads.append(rows.pop(0)[1])
        if [head[0] for head in heads] not in (levels, [levels[0], *levels[2:]]):
            raise ValueError("its first lines are not scorer, bodyparts and coords")
        width = len(heads[0])
        # Pictures instead of numbers take three columns: folder, video and file.
        skipped = next(i for i in range(1, width + 1) if i == width or heads[-1][i])
        values = [[number_in(cell, line) for cell in cells[skipped:]] for line, cells in rows]
        for (line, _), row in zip(rows, values, strict=True):
            if len(row) != width - skipped:
                raise ValueError(f"line {line} has {len(row)} numbers, where {width - skipped} are due")
        columns = [tuple(column) for column in zip(*(head[skipped:] for head in heads), strict=True)]
        frames = _frames([cells[skipped - 1] for _, cells in rows])
        return _table(columns, np.array(values, np.float64).reshape(-1, len(columns)), frames)


def read_deeplabcut_h5(path: Path) -> KeypointTable:
    """Everybody in an HDF5 file of DeepLabCut's, `df_with_missing` or the only table in it.

    Raises:
        VidposeError: it is none, or its body parts are no body's; says what is wrong.
    """
    import h5py

    with reading(path, "an HDF5 file of DeepLabCut's", "export it as CSV"), h5py.File(path, "r") as file:
        group = file["df_with_missing"] if "df_with_missing" in file else file[next(iter(file))]
        if "table" in group:
            columns, values = _of_table(group)
            index = group["table"]["index"] if "index" in group["table"].dtype.names else np.arange(len(values))
        elif "block0_values" in group:
            columns, values = _of_blocks(group)
            index = group["axis1"][()] if "axis1" in group else np.arange(len(values))
        else:
            raise ValueError("no table of pandas in it")
        return _table(columns, values, _frames(index.tolist()))


def _of_table(group: Any) -> tuple[list[Column], np.ndarray]:
    """A frame in pandas' format `table`: records of an index and a block of values."""
    table = group["table"]
    if table.shape[0] > MAX_FRAMES:
        raise ValueError(f"{table.shape[0]} rows")
    axes = _plain(group.attrs["non_index_axes"])
    columns = [tuple(map(str, column)) for column in axes[0][1]]
    blocks = sorted(name for name in table.dtype.names if name.startswith("values_block_"))
    if len(blocks) != 1:
        raise ValueError("columns of several kinds")
    values = np.asarray(table[blocks[0]], np.float64)
    if values.shape[1] != len(columns):
        raise ValueError("its columns and its values differ")
    return columns, values


def _of_blocks(group: Any) -> tuple[list[Column], np.ndarray]:
    """A frame in pandas' format `fixed`: levels and codes of the columns, and a block of values."""
    values = np.asarray(group["block0_values"], np.float64)
    count = int(group.attrs.get("axis0_nlevels", 0)) or 1
    levels = []
    for number in range(count):
        names = [name.decode() if isinstance(name, bytes) else str(name) for name in group[f"axis0_level{number}"][()]]
        levels.append([names[code] for code in group[f"axis0_label{number}"][()]])
    return list(zip(*levels, strict=True)), values


class _NoNames(pickle.Unpickler):
    """Reads lists, tuples, strings and numbers; anything that a pickle would have called ends the reading."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"holds {module}.{name}, which is no plain data")


def _plain(attribute: Any) -> Any:
    """What PyTables keeps as a pickle in an attribute."""
    content = attribute.tobytes() if isinstance(attribute, np.generic | np.ndarray) else bytes(attribute)
    return _NoNames(io.BytesIO(content), encoding="utf-8").load()


def _frames(index: Sequence[Any]) -> list[int]:
    """The frame of each row, by its number or its picture's; their order where these do not tell them apart."""
    names = [name.decode(errors="replace") if isinstance(name, bytes) else name for name in index]
    names = [
        int(float(name)) if isinstance(name, str) and re.fullmatch(r"\d{1,15}(\.0*)?", name) else name for name in names
    ]
    place = counting_place(names)
    try:
        frames = [frame_number(name, place=place) for name in names]
    except ValueError:
        frames = []
    return frames if len(set(frames)) == len(names) else list(range(len(names)))


def _table(columns: Sequence[Column], values: np.ndarray, frames: Sequence[int]) -> KeypointTable:
    """Everybody's body parts as joints."""
    if len(frames) != len(values):
        raise ValueError(f"{len(frames)} frames for {len(values)} rows")
    place = {column: number for number, column in enumerate(columns)}
    scorers = {column[0] for column in columns}
    if len(scorers) > 1:
        raise ValueError(f"several scorers, {short(sorted(scorers))}; give a file of one")
    several = len(columns[0]) == 4
    people = dict.fromkeys(column[1] if several else "" for column in columns)
    rows = []
    for number, person in enumerate(people, start=1):
        own = [column for column in columns if not several or column[1] == person]
        parts = list(dict.fromkeys(column[-2] for column in own))
        if several and person == "single":  # what there is one of: no person's
            continue
        layout, order = named_layout(parts)
        joints = np.zeros((len(values), len(layout), 3))
        for joint, part in enumerate(order):
            if part >= 0:
                stem = own[0][:1] + ((person,) if several else ()) + (parts[part],)
                for axis, coordinate in enumerate(("x", "y", "likelihood")):
                    column = place.get((*stem, coordinate))
                    joints[:, joint, axis] = 1.0 if column is None else values[:, column]
        there = (np.isfinite(joints).all(axis=-1) & (joints[..., 2] > 0)).any(axis=1)
        rows += [(frames[row], number if several else None, joints[row]) for row in np.flatnonzero(there).tolist()]
    if not several:
        rows = [(frame, 1, joints) for frame, _, joints in rows]
    return table_of(layout, rows, num_frames=max(frames, default=0) + 1)
