"""3D joints as a table: a row for each person and frame, the columns named after the joints."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from vidpose.body.skeletons import SKELETONS
from vidpose.body.tracks import PoseResult
from vidpose.common.files import replacing


def write_csv(result: PoseResult, path: Path) -> None:
    """Write `id, frame, time`, the root's `x, y, z` in the camera's frame, then `x, y, z` and `score` of every joint.

    Metres; the joints are relative to the root. What is absent is an empty cell.

    Raises:
        VidposeError: the file cannot be written.
    """
    layout = SKELETONS.get(result.joint_layout)
    names = layout.joints if layout else ()
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        joint_columns = (f"{name}_{part}" for name in names for part in ("x", "y", "z", "score"))
        table.writerow(["id", "frame", "time", "root_x", "root_y", "root_z", *joint_columns])
        for track in result.tracks:
            joints = np.concatenate([track.joints, track.joint_scores[..., None]], axis=-1)
            values = np.concatenate([track.roots, joints.reshape(len(track), -1)], axis=1)
            for frame, time, row in zip(track.frames, track.times, values, strict=True):
                table.writerow([track.id, frame, f"{time:.6f}", *("" if np.isnan(v) else f"{v:.4f}" for v in row)])
