"""CMU motion capture as 17 Human3.6M-style joints.

For training, from `cmu17_{train,val,test}_NN.npz` shards (`load_cmu`). For evaluation, through the fixed cameras of
`cmu_test_cameras.json` (`prepare`): from the shards, the database's own ASF and AMC, or BVH conversions of it. In the
database, legs and arms do not straighten; what comes from here is mended (`straightening`), and is called cmu17-2.

The data used in this project was obtained from mocap.cs.cmu.edu. The database was created with funding from NSF
EIA-0196217.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.inputs import read_json, reading
from vidpose.common.npz import open_npz
from vidpose.datasets.cmu_cameras import PUBLISHED, VirtualCamera, published_cameras
from vidpose.datasets.mocap.asf_amc import Asf, read_amc, read_asf
from vidpose.datasets.mocap.cmu_skeleton import CMU_TO_H36M, h36m_of_asf, h36m_of_bvh
from vidpose.datasets.mocap.straightening import straighten
from vidpose.datasets.protocol import Protocol
from vidpose.datasets.store import Recording, Store, StoreWriter
from vidpose.keypoint_files.bvh_reader import read_bvh

LAYOUT = "h36m17"

RELEASE = "cmu17-2"
"""The motion as it comes from here. Until November 2026 it was cmu17, whose people stood with bent knees and elbows."""

SPLITS = ("train", "val", "test")

VAL_SUBJECTS = (6, 7, 35)
TEST_SUBJECTS = (2, 8, 11, 17, 27, 32, 38, 39, 49, 55)
"""Subjects of the raw database; all others train, unless a `splits.json` in its folder says otherwise."""

PROTOCOLS: Mapping[str, Protocol] = {
    "vidpose": Protocol(
        "vidpose",
        "CMU test subjects: every sequence whole through each of the four published cameras, nothing excluded; "
        "17 joints; mean over all frames",
        average="frames",
    )
}

_MOST = {"ui-prmd": 1 / 3}
"""Of all frames, at most so many are of a source whose people all do the same few exercises."""

_FPS = 50.0
_FAR = 1e6
"""Millimetres from the middle of the room, that nobody gets."""
_SECONDS = 60.0
"""Longer trials are cut, as in the shards."""

_NATIVE_FPS = 120.0
_SUBJECTS_AT_60 = frozenset({33, 34, 42, 60, 61, 62, 74, 75, 77, 79, 80, 87, 88, 89})
_TRIALS_AT_60 = frozenset({(136, 19)})
"""An AMC does not say its frame rate; these are 60 a second in the list of mocap.cs.cmu.edu, all others 120."""


@dataclass(frozen=True)
class CapturedMotion:
    """Sequences of one split, laid end to end.

    Attributes:
        positions: (F, 17, 3) float32 metres in the world frame: z up, floor near z = 0.
        offsets: (S + 1,) int64; sequence i is `positions[offsets[i]:offsets[i + 1]]`.
        subjects: (S,) subject numbers.
        fps: frames a second.
        shares: (S,) how much a frame of each counts among all, where windows are drawn.
    """

    positions: np.ndarray
    offsets: np.ndarray
    subjects: np.ndarray
    fps: float
    shares: np.ndarray


def load_cmu(folder: Path, split: str) -> CapturedMotion:
    """Read one split.

    Raises:
        UsageError: there is no such split.
        VidposeError: the shards are missing or hold something else.
    """
    if split not in SPLITS:
        raise UsageError(f"unknown CMU split {split!r}; known are {', '.join(SPLITS)}")
    shards = _shards(folder, split)
    if not shards:
        raise VidposeError(
            f"{folder}: no cmu17_{split}_*.npz or motion_{split}_*.npz here; give the folder of shards that "
            "`vidpose data prepare cmu17` or `vidpose data prepare motion` wrote"
        )
    sequences: list[np.ndarray] = []
    subjects: list[int] = []
    sources: list[str] = []
    rates: list[float] = []
    for shard in shards:
        arrays = _read_shard(shard, ("subject",))
        positions = _metres(arrays["positions"])
        sequences += [positions[start:end] for start, end in pairwise(arrays["offsets"].tolist())]
        subjects += arrays["subject"].tolist()
        sources += arrays["source"].tolist() if "source" in arrays else [""] * len(arrays["subject"])
        rates.append(float(arrays["fps"]))
    if len(set(rates)) > 1:
        raise VidposeError(f"{folder}: shards of {split} at {min(rates):g} and at {max(rates):g} frames a second")
    fps = rates[0]
    lengths = np.array([len(sequence) for sequence in sequences])
    return CapturedMotion(
        np.concatenate(straighten(sequences, subjects, fps)),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.array(subjects),
        fps,
        _shares(lengths, np.array(sources)),
    )


def _shares(lengths: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """(S,) 1, but less in a source that would otherwise be more than it may of all frames."""
    shares = np.ones(len(lengths))
    for source, most in _MOST.items():
        own = sources == source
        others = (lengths * shares)[~own].sum()
        if own.any() and others > 0:
            shares[own] = min(1.0, most / (1 - most) * others / lengths[own].sum())
    return shares


def _shards(folder: Path, split: str) -> list[Path]:
    return [path for name in ("cmu17", "motion") for path in sorted(folder.glob(f"{name}_{split}_*.npz"))]


def _read_shard(path: Path, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Positions (millimetres), offsets and fps of a shard, and the keys asked for."""
    with open_npz(path, "a CMU-17 shard") as shard:
        arrays = {
            "positions": shard.read("positions", (None, 17, 3), "n"),
            "offsets": shard.read("offsets", (None,), "i"),
            "fps": shard.read("fps", (), "n"),
        }
        ends, count = arrays["offsets"], max(len(arrays["offsets"]) - 1, 0)
        if not count or ends[0] != 0 or ends[-1] != len(arrays["positions"]) or (np.diff(ends.astype(int)) < 1).any():
            raise ValueError(f"offsets do not part its {len(arrays['positions'])} frames")
        positions = arrays["positions"].astype(np.float32)
        if not (np.abs(positions) <= _FAR).all() or not (np.ptp(positions, axis=1).max(axis=1) >= 1).all():
            raise ValueError("positions that are no body's, in millimetres")
        if not 1 <= arrays["fps"] <= 1000:
            raise ValueError(f"fps is {arrays['fps']}")
        arrays |= {key: shard.read(key, (count,), "i") for key in keys}
        if "source" in shard:
            arrays["source"] = shard.read("source", (count,), "U")
    return arrays


def _metres(millimetres: np.ndarray) -> np.ndarray:
    return millimetres.astype(np.float32) / 1000


@dataclass(frozen=True)
class _Take:
    """A sequence that has not been read yet; `read` gives (F, 17, 3) metres, z up, and frames a second."""

    name: str
    subject: int
    split: str
    read: Callable[[], tuple[np.ndarray, float]]


def prepare(source: Path, writer: StoreWriter, report: Callable[[str], None]) -> Store:
    """See every sequence through the published cameras, and store it in the layout h36m17.

    Args:
        source: a folder with the shards; or, anywhere under it, `NN.asf` with `NN_MM.amc`, or `NN_MM.bvh`. A trial that
            is there as AMC and as BVH is read from the AMC. Raw trials are taken as they are, where the shards leave
            out what is damaged: figures on the two are not comparable. Either way limbs are mended, subject by subject.
        writer: where to. A part is a subject.
        report: called with a line for each part.

    Returns:
        Inputs "gt", exact, and "detector", what the detector that training imitates would give: with scores, and NaN
        with score 0 where it sees nothing. Its errors are seeded by the names of sequence and camera.

    Raises:
        VidposeError: nothing is there, or a file cannot be read; one line that names it.
    """
    shards = {split: _shards(source, split) for split in SPLITS}
    from_shards = any(shards.values())
    takes = _takes_of_shards(shards) if from_shards else _raw_takes(source)
    cameras = published_cameras()
    parts: dict[str, list[_Take]] = defaultdict(list)
    for take in takes:
        parts[f"{take.split}-{take.subject:02d}"].append(take)
    for part, members in sorted(parts.items()):
        if writer.has(part):
            report(f"{part}: there already")
        else:
            report(f"{part}: {len(members)} sequences through {len(cameras)} cameras")
            writer.write(part, _recordings(members, cameras))
    facts = {
        "source": "CMU Graphics Lab Motion Capture Database, http://mocap.cs.cmu.edu; created with funding from NSF "
        "EIA-0196217",
        "motion": RELEASE,
        "read_from": "CMU-17 shards" if from_shards else f"raw ASF/AMC or BVH, uncleaned, by {CMU_TO_H36M.name}",
        "cameras": json.loads(PUBLISHED.read_text()),
    }
    return writer.finish(
        facts,
        {
            "gt": {"detector": "none: exact projections", "scores": False},
            "detector": {"detector": "the imitated one of training, seeded", "scores": True},
        },
    )


def _takes_of_shards(shards: Mapping[str, Sequence[Path]]) -> Iterator[_Take]:
    for split, paths in shards.items():
        for path in paths:
            arrays = _read_shard(path, ("subject", "trial", "segment"))
            spans = pairwise(arrays["offsets"].tolist())
            who = zip(arrays["subject"].tolist(), arrays["trial"].tolist(), arrays["segment"].tolist(), strict=True)
            for (start, end), (subject, trial, segment) in zip(spans, who, strict=True):
                name = f"{subject:02d}_{trial:02d}" + (f"_{segment}" if segment else "")
                positions, fps = arrays["positions"][start:end], float(arrays["fps"])
                yield _Take(name, subject, split, partial(_in_metres, positions, fps))


def _in_metres(positions: np.ndarray, fps: float) -> tuple[np.ndarray, float]:
    return _metres(positions), fps


def _read_resampled(trial: RawTrial) -> tuple[np.ndarray, float]:
    return _resampled(trial.path, *trial.read()), _FPS


def _raw_takes(source: Path) -> Iterator[_Take]:
    """Trials of the raw database, in order."""
    for trial in raw_trials(source):
        name = f"{trial.subject:02d}_{trial.number:02d}"
        yield _Take(name, trial.subject, trial.split, partial(_read_resampled, trial))


@dataclass(frozen=True)
class RawTrial:
    """A trial of the raw database that has not been read yet."""

    subject: int
    number: int
    split: str
    path: Path

    def read(self) -> tuple[np.ndarray, float]:
        """(F, 17, 3) metres, z up, and frames a second; raises VidposeError where the file cannot be read."""
        if self.path.suffix.lower() == ".bvh":
            animation, fps = read_bvh(self.path)
            return h36m_of_bvh(animation), fps
        joints = h36m_of_asf(read_amc(self.path, _skeleton_of(self.path)))
        slow = self.subject in _SUBJECTS_AT_60 or (self.subject, self.number) in _TRIALS_AT_60
        return joints, 60.0 if slow else _NATIVE_FPS


def raw_trials(source: Path) -> list[RawTrial]:
    """Trials of the raw database under a folder, by subject and number; one that is there as AMC too is that.

    Raises:
        VidposeError: there are none, or names that tell no trial.
    """
    split_of = _splits(source)
    found = _by_trial(source, ".bvh") | _by_trial(source, ".amc")
    if not found:
        raise VidposeError(
            f"{source}: no CMU motion capture here; put the shards cmu17_*_NN.npz there, or subjects/NN/NN.asf and "
            "NN_MM.amc from http://mocap.cs.cmu.edu, or BVH conversions of them named NN_MM.bvh"
        )
    return [
        RawTrial(subject, number, split_of.get(subject, "train"), path)
        for (subject, number), path in sorted(found.items())
    ]


def _by_trial(source: Path, suffix: str) -> dict[tuple[int, int], Path]:
    """Files by (subject, trial), which their names begin with."""
    found: dict[tuple[int, int], Path] = {}
    for path in sorted(path for path in source.rglob("*") if path.suffix.lower() == suffix):
        named = re.match(r"(\d+)_(\d+)", path.name)
        if not named:
            raise VidposeError(
                f"{path}: its name gives no subject and trial, like 02_01{suffix}; rename it or take it away, or read "
                "motion capture that is not CMU's with `vidpose data prepare motion`"
            )
        trial = int(named[1]), int(named[2])
        if trial in found:
            raise VidposeError(f"{path}: the same trial as {found[trial]}; take one of them away")
        found[trial] = path
    return found


def _splits(source: Path) -> dict[int, str]:
    """Split by subject, from `splits.json` if there is one."""
    path = source / "splits.json"
    if not path.is_file():
        return dict.fromkeys(VAL_SUBJECTS, "val") | dict.fromkeys(TEST_SUBJECTS, "test")
    with reading(path, "a list of subjects for train, val and test"):
        listed = read_json(path)
        return {int(subject): split for split in SPLITS for subject in listed[split]}


def _skeleton_of(amc: Path) -> Asf:
    asf = amc.with_name(amc.name.partition("_")[0] + ".asf")
    if not asf.is_file():
        raise VidposeError(
            f"{amc}: its skeleton {asf.name} is missing; download it from mocap.cs.cmu.edu to {amc.parent}"
        )
    return read_asf(asf)


def _resampled(path: Path, joints: np.ndarray, native_fps: float) -> np.ndarray:
    """The first minute at 50 frames a second, by a cubic spline."""
    from scipy.interpolate import CubicSpline

    if len(joints) < 2:
        raise VidposeError(f"{path}: {len(joints)} frame, which is no movement; take the file away")
    last = min((len(joints) - 1) / native_fps, _SECONDS)
    times = np.arange(np.floor(last * _FPS + 1e-6) + 1) / _FPS
    return CubicSpline(np.arange(len(joints)) / native_fps, joints)(times).astype(np.float32)


def _recordings(takes: Sequence[_Take], cameras: Sequence[VirtualCamera]) -> Iterator[Recording]:
    read = [take.read() for take in takes]
    # All takes of a subject have one frame rate: the shards', or that which raw trials are resampled to.
    mended = straighten([world for world, _ in read], [take.subject for take in takes], read[0][1])
    for take, world, (_, fps) in zip(takes, mended, read, strict=True):
        for camera in cameras:
            joints = camera.see(world)
            yield Recording(
                joints=joints.astype(np.float32),
                keypoints={
                    "gt": camera.project(joints).astype(np.float32),
                    "detector": _detected(joints, camera, fps, seed=zlib.crc32(f"{take.name} {camera.name}".encode())),
                },
                split=take.split,
                subject=f"{take.subject:02d}",
                action="all",
                camera=camera.name,
                sequence=take.name,
                width=camera.width,
                height=camera.height,
                fps=fps,
            )


def _detected(joints: np.ndarray, camera: VirtualCamera, fps: float, seed: int) -> np.ndarray:
    """(F, 17, 3) pixels and scores of the imitated detector; NaN and score 0 where it sees nothing."""
    import torch

    from vidpose.datasets.imitated_detector import ImitatedDetector, detect

    distance = float(joints[:, 0, 2].mean())
    found = detect(
        torch.from_numpy(joints.astype(np.float32))[None],
        torch.tensor([distance]),
        torch.tensor([1 / fps]),
        ImitatedDetector(unscored=0.0),
        torch.Generator().manual_seed(seed),
    )[0].numpy()
    metres, scores = found[..., :2], found[..., 2:]
    pixels = camera.project(np.concatenate([metres, np.full_like(scores, distance)], axis=-1))
    return np.concatenate([np.where(scores > 0, pixels, np.nan), scores], axis=-1).astype(np.float32)
