"""CMU motion capture as 17 Human3.6M-style joints, from `cmu17_{train,val,test}_NN.npz` shards.

The data used in this project was obtained from mocap.cs.cmu.edu. The database was created with funding from NSF
EIA-0196217.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidpose.errors import UsageError, VidposeError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Motion:
    """Sequences of one split, laid end to end.

    Attributes:
        positions: (F, 17, 3) float32 metres in the world frame: z up, floor near z = 0.
        offsets: (S + 1,) int64; sequence i is `positions[offsets[i]:offsets[i + 1]]`.
        subjects: (S,) subject numbers.
        fps: frames a second.
    """

    positions: np.ndarray
    offsets: np.ndarray
    subjects: np.ndarray
    fps: float


def load_cmu(folder: Path, split: str) -> Motion:
    """Read one split.

    Raises:
        UsageError: there is no such split.
        VidposeError: the shards are missing or hold something else.
    """
    if split not in SPLITS:
        raise UsageError(f"unknown CMU split {split!r}; known are {', '.join(SPLITS)}")
    shards = sorted(folder.glob(f"cmu17_{split}_*.npz"))
    if not shards:
        raise VidposeError(f"{folder}: no cmu17_{split}_*.npz here; give the folder of the CMU-17 shards")
    positions, offsets, subjects = [], [np.zeros(1, np.int64)], []
    for shard in shards:
        try:
            with np.load(shard, allow_pickle=False) as arrays:
                millimetres, ends, fps = arrays["positions"], arrays["offsets"], float(arrays["fps"])
                subjects.append(arrays["subject"])
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise VidposeError(f"{shard}: not a CMU-17 shard ({error})") from None
        if millimetres.ndim != 3 or millimetres.shape[1:] != (17, 3) or ends[-1] != len(millimetres):
            raise VidposeError(f"{shard}: positions {millimetres.shape}, where (frames, 17, 3) was expected")
        offsets.append(ends[1:] + offsets[-1][-1])
        positions.append(millimetres.astype(np.float32) / 1000)
    return Motion(np.concatenate(positions), np.concatenate(offsets), np.concatenate(subjects), fps)
