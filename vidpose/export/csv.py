"""3D joints as a table: a row for each person and frame, the columns named after the joints."""

from __future__ import annotations

import csv
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidpose.body.pieces import pieces
from vidpose.body.seen import observed_joints
from vidpose.body.skeletons import SKELETONS
from vidpose.body.tracks import PoseResult, Track
from vidpose.common.errors import VidposeError
from vidpose.common.files import replacing

if TYPE_CHECKING:
    import pandas


def write_csv(result: PoseResult, path: Path) -> None:
    """Write `id, frame, time`, the root's `x, y, z` in the camera's frame, then `x, y, z` and `score` of every joint.

    Metres; the joints are relative to the root. What is absent, or was
    never seen (`vidpose.body.seen`), is an empty cell.

    Raises:
        VidposeError: the file cannot be written.
    """
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(_columns(result))
        for track in result.tracks:
            values = _values(result, track)
            for part in pieces(len(track)):
                for frame, time, row in zip(track.frames[part], track.times[part], values[part].tolist(), strict=True):
                    table.writerow([track.id, frame, f"{time:.6f}", *("" if isnan(v) else f"{v:.4f}" for v in row)])


def dataframe(result: PoseResult) -> pandas.DataFrame:
    """The same table, unrounded, for pandas; what is absent or was never seen is NaN.

    Raises:
        VidposeError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise VidposeError("a dataframe needs pandas; pip install 'vidpose[pandas]'") from None

    columns = _columns(result)
    parts = [
        pandas.DataFrame(_values(result, track), columns=columns[3:]).assign(
            id=track.id, frame=track.frames, time=track.times
        )
        for track in result.tracks
    ]
    return pandas.concat(parts, ignore_index=True)[columns] if parts else pandas.DataFrame(columns=columns)


def _columns(result: PoseResult) -> list[str]:
    layout = SKELETONS.get(result.joint_layout)
    joints = [f"{name}_{part}" for name in (layout.joints if layout else ()) for part in ("x", "y", "z", "score")]
    return ["id", "frame", "time", "root_x", "root_y", "root_z", *joints]


def _values(result: PoseResult, track: Track) -> np.ndarray:
    """(N, 3 + 4 J): the root, and every joint with its score."""
    joints = np.concatenate([observed_joints(result, track), track.joint_scores[..., None]], axis=-1)
    return np.concatenate([track.roots, joints.reshape(len(track), -1)], axis=1)
