"""The CMU-17 shards, from what CMU publishes: ASF and AMC, or BVH conversions of them.

Every trial becomes 17 joints, what is damaged in it is left out (`mocap.cleaning`), and the rest is brought to 50
frames a second. Subjects are split as `cmu.VAL_SUBJECTS` and `cmu.TEST_SUBJECTS` say, or a `splits.json` beside the
files.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

from vidpose.common.errors import VidposeError
from vidpose.datasets.cmu import SPLITS, load_cmu, raw_trials
from vidpose.datasets.mocap.any_motion import AnyMotion
from vidpose.datasets.mocap.cleaning import MOST_SECONDS, clean
from vidpose.datasets.mocap.shards import FPS, ShardSequence, write_shard
from vidpose.datasets.mocap.straightening import LEGS, quiet_standing
from vidpose.datasets.own_motion import resampled

NAME = "cmu17"

_MOST_JUMPS = {".amc": 15, ".bvh": 10}
"""A trial that has more is left out."""


def prepare_cmu17(source: Path, out: Path, report: Callable[[str], None]) -> list[Path]:
    """Read all trials under a folder and write them as shards; gives their paths.

    Args:
        report: called with a line for each subject, and for each trial that is left out.

    Raises:
        VidposeError: there are no trials, one cannot be read, or nothing sound is left.
    """
    sequences: dict[str, list[ShardSequence]] = {split: [] for split in SPLITS}
    counted: dict[int, list[int]] = {}
    for trial in raw_trials(source):
        joints, fps = trial.read()
        joints = joints[: int(MOST_SECONDS * fps) + 1]
        parts = clean(joints, fps, _MOST_JUMPS[trial.path.suffix.lower()])
        if not parts:
            report(f"{trial.path.name}: left out, damaged or shorter than a second")
        recording = AnyMotion(joints, fps, ())
        source_name = "asf/amc" if trial.path.suffix.lower() == ".amc" else "bvh"
        for segment, part in enumerate(parts):
            sequences[trial.split].append(
                ShardSequence(resampled(recording, part), trial.subject, trial.number, segment, "", source_name, fps)
            )
            counted.setdefault(trial.subject, []).append(len(sequences[trial.split][-1].joints))
    for subject, frames in counted.items():
        report(f"subject {subject}: {len(frames)} sequences, {sum(frames) / FPS:.0f} s")
    if not any(sequences.values()):
        raise VidposeError(f"{source}: nothing sound is left")
    return [write_shard(out, NAME, split, of) for split, of in sequences.items() if of]


def describe_motion(folder: Path) -> list[str]:
    """What training finds in a folder of shards: of each split and person, how much there is, and how people stand.

    Raises:
        VidposeError: there are no shards.
    """
    lines = []
    for split in SPLITS:
        if not any(folder.glob(f"*_{split}_*.npz")):
            continue
        motion = load_cmu(folder, split)
        sequences = [motion.positions[start:stop] for start, stop in pairwise(motion.offsets.tolist())]
        minutes = len(motion.positions) / motion.fps / 60
        lines.append(f"{split}: {len(sequences)} sequences, {minutes:.1f} min, {len(set(motion.subjects))} people")
        for subject in sorted(set(motion.subjects.tolist())):
            own = [sequence for sequence, who in zip(sequences, motion.subjects, strict=True) if who == subject]
            lines.append(f"  {subject}: {sum(map(len, own)) / motion.fps:.0f} s{_standing(own, motion.fps)}")
    if not lines:
        raise VidposeError(f"{folder}: no shards here; `vidpose data prepare cmu17` or `motion` writes them")
    return lines


def _standing(sequences: list[np.ndarray], fps: float) -> str:
    standing = np.concatenate([sequence[quiet_standing(sequence, fps)] for sequence in sequences])
    if len(standing) < 10:
        return ", never stands still"
    knees = [f"{np.median(leg.flexion(standing)):.1f}" for leg in LEGS]
    return f", stands still for {len(standing) / fps:.1f} s with knees at {knees[0]} and {knees[1]} degrees"
