"""Shards of motion capture: what training reads, a file a split.

`NAME_{train,val,test}_00.npz`: `positions` int16 millimetres (F, 17, 3), all sequences end to end, z up; `offsets`
int64 (S + 1,); `subject`, `trial`, `segment` int16 (S,); `description`, `source` str (S,); `native_fps` (S,); `fps`,
50; `joints` (17,) names. Sequence i is `positions[offsets[i]:offsets[i + 1]]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidpose.body.skeletons import H36M_17
from vidpose.common.files import make_folder, write_npz

FPS = 50.0

_FARTHEST = 32.7
"""Metres from the origin that 16 bits hold."""


@dataclass(frozen=True)
class ShardSequence:
    """An unbroken recording.

    Attributes:
        joints: (F, 17, 3) metres at `FPS`, z up.
        subject, trial, segment: who it is, which recording of theirs, and which part of it.
        description, source: in words.
        native_fps: frames a second that it was recorded at.
    """

    joints: np.ndarray
    subject: int
    trial: int
    segment: int
    description: str
    source: str
    native_fps: float


def write_shard(folder: Path, name: str, split: str, sequences: Sequence[ShardSequence]) -> Path:
    """Write the sequences of a split; gives the file's path.

    Someone who goes too far from the origin for 16 bits is brought back to it.

    Raises:
        VidposeError: the file cannot be written.
    """
    make_folder(folder)
    path = folder / f"{name}_{split}_00.npz"
    placed = [_near(sequence.joints) for sequence in sequences]
    write_npz(
        path,
        positions=np.round(1000 * np.concatenate(placed)).astype(np.int16),
        offsets=np.cumsum([0, *map(len, placed)]),
        subject=np.array([s.subject for s in sequences], np.int16),
        trial=np.array([s.trial for s in sequences], np.int16),
        segment=np.array([s.segment for s in sequences], np.int16),
        description=np.array([s.description for s in sequences]),
        source=np.array([s.source for s in sequences]),
        native_fps=np.array([s.native_fps for s in sequences], np.float32),
        fps=np.array(FPS, np.float32),
        joints=np.array(H36M_17.joints),
    )
    return path


def _near(joints_FJD: np.ndarray) -> np.ndarray:
    if np.abs(joints_FJD).max() < _FARTHEST:
        return joints_FJD
    return joints_FJD - np.append(joints_FJD[..., :2].mean(axis=(0, 1)), 0).astype(joints_FJD.dtype)
