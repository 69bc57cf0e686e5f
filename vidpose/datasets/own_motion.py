"""Anyone's motion capture, for training: shards from a folder of BVH, AMC, C3D, TRC, and results of our own.

People are told apart by folder: each folder of the source is a person, or, where files lie side by side, each file is.
Folders `train`, `val` and `test`, if there are, split them; else one in eight people validates and one in eight tests,
a person at least of either as soon as there are three.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets.mocap.any_motion import SUFFIXES, AnyMotion, read_motion
from vidpose.datasets.mocap.cleaning import MOST_SECONDS, clean
from vidpose.datasets.mocap.shards import FPS, ShardSequence, write_shard
from vidpose.datasets.mocap.skeleton_names import SkeletonMap

NAME = "motion"
SPLITS = ("train", "val", "test")

_MOST_JUMPS = 15
_EVERY = 8
_SHARE_OF_ONE = 0.8
"""Of each recording, what trains where there is one person only; the rest validates."""


def prepare_motion(
    source: Path, out: Path, report: Callable[[str], None], *, skeleton: SkeletonMap | None = None
) -> list[Path]:
    """Read all recordings under a folder and write them as shards; gives their paths.

    Args:
        report: called with a line for each person, for what was made up, and for what was left out.
        skeleton: which points are which joints, where their names do not tell.

    A file that cannot be read, or whose joints are not found, is left out.

    Raises:
        UsageError: there is no motion capture; or of no file the joints are found by their names.
        VidposeError: no file can be read, or nothing is left to train on.
    """
    people = _people(source)
    if not people:
        raise UsageError(f"{source}: no motion capture here; there should be {', '.join(SUFFIXES)} files")
    of_person: dict[str, list[ShardSequence]] = {person: [] for person in people}
    unread: list[VidposeError] = []
    for subject, (person, files) in enumerate(people.items(), start=1):
        for trial, path in enumerate(files, start=1):
            try:
                of_person[person] += _sequences(path, subject, trial, skeleton, report)
            except VidposeError as error:
                unread.append(error)
                report(f"left out: {error}")
    if len(unread) == sum(map(len, people.values())):
        raise unread[0]
    # Who has nothing sound takes no place among those who validate or test.
    split_of = _splits(source, {person: people[person] for person, own in of_person.items() if own})
    sequences: dict[str, list[ShardSequence]] = {split: [] for split in SPLITS}
    for person, split in split_of.items():
        own = of_person[person]
        seconds = sum(len(part.joints) for part in own) / FPS
        report(f"{person}: {len(people[person])} files, {len(own)} sequences, {seconds:.0f} s, {split or 'split'}")
        if split:
            sequences[split] += own
        else:
            for part in own:
                first, rest = _divided(part)
                sequences["train"].append(first)
                sequences["val"] += rest
    if not sequences["train"]:
        raise VidposeError(f"{source}: nothing sound is left to train on")
    return [write_shard(out, NAME, split, of) for split, of in sequences.items() if of]


def _people(source: Path) -> dict[str, list[Path]]:
    """Files by person, in order of names."""
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    below = {path: path.relative_to(source).parts for path in files}
    if any(parts[0] in SPLITS for parts in below.values() if len(parts) > 1):
        below = {path: parts[1:] if parts[0] in SPLITS else parts for path, parts in below.items()}
    in_folders = any(len(parts) > 1 for parts in below.values())
    people: dict[str, list[Path]] = {}
    for path, parts in below.items():
        person = parts[0] if in_folders and len(parts) > 1 else path.stem
        people.setdefault(person, []).append(path)
    return dict(sorted(people.items()))


def _splits(source: Path, people: dict[str, list[Path]]) -> dict[str, str]:
    """Split by person; "" where one person is all there is."""
    named = {person: {path.relative_to(source).parts[0] for path in files} & set(SPLITS)
             for person, files in people.items()}  # fmt: skip
    if any(named.values()):
        twice = [person for person, splits in named.items() if len(splits) > 1]
        if twice:
            raise UsageError(f"{source}: {twice[0]} is in more than one of train, val and test; keep people apart")
        return {person: next(iter(splits), "train") for person, splits in named.items()}
    names = list(people)
    if len(names) == 1:
        return {names[0]: ""}
    if len(names) == 2:
        return {names[0]: "train", names[1]: "val"}
    split = dict.fromkeys(names, "train")
    split |= dict.fromkeys(names[_EVERY // 2 - 1 :: _EVERY] or names[-1:], "val")
    split |= dict.fromkeys(names[_EVERY - 1 :: _EVERY] or [name for name in names if split[name] == "train"][-1:],
                           "test")  # fmt: skip
    return split


def _sequences(
    path: Path, subject: int, trial: int, skeleton: SkeletonMap | None, report: Callable[[str], None]
) -> list[ShardSequence]:
    """The sound parts of a file."""
    found: list[ShardSequence] = []
    for recording in read_motion(path, skeleton):
        if recording.made_up:
            report(f"{path.name}: no {', '.join(recording.made_up)}; made from the other joints")
        parts = clean(recording.joints, recording.fps, _MOST_JUMPS)
        kept = sum(part.stop - part.start for part in parts)
        if kept < len(recording.joints):
            report(f"{path.name}: left out {len(recording.joints) - kept} of {len(recording.joints)} frames as damaged")
        for part in parts:
            joints = resampled(recording, part)
            most = int(MOST_SECONDS * FPS)
            for start in range(0, len(joints), most):
                piece = joints[start : start + most]
                if len(piece) >= FPS:
                    found.append(ShardSequence(piece, subject, trial, len(found), path.stem, path.suffix[1:].lower(),
                                               recording.fps))  # fmt: skip
    return found


def resampled(recording: AnyMotion, part: slice) -> np.ndarray:
    """A part of a recording at `FPS`, by a cubic spline."""
    from scipy.interpolate import CubicSpline

    joints = recording.joints[part].astype(np.float64)
    times = np.arange(len(joints)) / recording.fps
    wanted = np.arange(int(np.floor(times[-1] * FPS + 1e-6)) + 1) / FPS
    return CubicSpline(times, joints)(wanted).astype(np.float32)


def _divided(sequence: ShardSequence) -> tuple[ShardSequence, Sequence[ShardSequence]]:
    from dataclasses import replace

    cut = int(_SHARE_OF_ONE * len(sequence.joints))
    rest = replace(sequence, joints=sequence.joints[cut:])
    return replace(sequence, joints=sequence.joints[:cut]), [rest] if len(rest.joints) > 1 else []
