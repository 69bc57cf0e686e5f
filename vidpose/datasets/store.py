"""The one layout that every benchmark is brought into: memory-mapped arrays that training and evaluation share.

A prepared benchmark is a folder:

    index.json                       name, joint layout, inputs, facts, and the clips; written last
    parts/PART/joints.npy            (F, J, 3) float32 metres in the camera frame, the root's path included
    parts/PART/keypoints-INPUT.npy   (F, J, 2) or (F, J, 3) float32 pixels, the third number a score
    parts/PART/valid.npy             (F,) bool, where some frames do not count
    parts/PART/clips.json            the clips of a part, which lie end to end in its arrays

A part is whatever a reader takes at a time, a subject say. It is written as a whole, so that a preparation that was
interrupted goes on with the first part that is missing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body.skeletons import Skeleton, get_skeleton
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.files import describe, replacing

FORMAT_VERSION = 1


@dataclass(frozen=True)
class StoredClip:
    """One unbroken stretch of one camera.

    Attributes:
        part, start, frames: rows `start` to `start + frames` of that part.
        split: "train", "val" or "test".
        subject, action, camera: as the benchmark calls them; the action is what tables are made by.
        sequence: the benchmark's own name of the recording, where there are several of one action.
        width, height: pixels of the picture; 0 where there is none.
        fps: frames a second.
    """

    part: str
    start: int
    frames: int
    split: str
    subject: str
    action: str
    camera: str
    sequence: str
    width: int
    height: int
    fps: float

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + self.frames)


@dataclass
class Recording:
    """A clip as a reader gives it.

    Attributes:
        joints: (F, J, 3) metres in the camera frame.
        keypoints: 2D by the name of the input, (F, J, 2) or (F, J, 3) pixels.
        valid: (F,) bool; None: all frames count.
        split, subject, action, camera, sequence, width, height, fps: see `StoredClip`.
    """

    joints: np.ndarray
    keypoints: Mapping[str, np.ndarray]
    split: str
    subject: str
    action: str
    camera: str
    sequence: str
    width: int
    height: int
    fps: float
    valid: np.ndarray | None = None


class StoreWriter:
    """Writes a prepared benchmark, part by part; what is there already is kept.

        writer = StoreWriter(folder, "h36m", "h36m17")
        for subject in subjects:
            if not writer.has(subject):
                writer.write(subject, recordings(subject))
        writer.finish({"source": ...})

    Raises:
        VidposeError: the folder cannot be written.
    """

    def __init__(self, folder: Path, name: str, layout: str):
        self.folder, self.name, self.layout = folder, name, layout

    def has(self, part: str, inputs: Iterable[str] = ()) -> bool:
        """Whether a part is there, whole, and with these inputs."""
        folder = self.folder / "parts" / part
        return (folder / "clips.json").is_file() and all((folder / f"keypoints-{i}.npy").is_file() for i in inputs)

    def write(self, part: str, recordings: Iterable[Recording]) -> None:
        """Write a part; it appears when all of it is on disk."""
        target = self.folder / "parts" / part
        partial = target.with_name(f".{part}.partial")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            recordings = list(recordings)
            np.save(partial / "joints.npy", _stacked([r.joints for r in recordings]))
            for name in recordings[0].keypoints if recordings else ():
                np.save(partial / f"keypoints-{name}.npy", _stacked([r.keypoints[name] for r in recordings]))
            if any(r.valid is not None for r in recordings):
                valid = [np.ones(len(r.joints), bool) if r.valid is None else r.valid for r in recordings]
                np.save(partial / "valid.npy", np.concatenate(valid))
            clips, start = [], 0
            for r in recordings:
                clips.append(
                    StoredClip(part, start, len(r.joints), r.split, r.subject, r.action, r.camera, r.sequence, r.width,
                         r.height, r.fps)
                )  # fmt: skip
                start += len(r.joints)
            (partial / "clips.json").write_text(json.dumps([asdict(clip) for clip in clips]))
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
        except OSError as error:
            raise VidposeError(f"{target}: cannot write ({describe(error)})") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def finish(self, facts: Mapping[str, Any], inputs: Mapping[str, Any]) -> Store:
        """Write the index, and open what was written.

        Args:
            facts: what else there is to know, for people.
            inputs: what each input is: name -> description (detector, whether it has scores, ...).
        """
        parts = sorted(path.parent.name for path in (self.folder / "parts").glob("*/clips.json"))
        index = {
            "format": "vidpose-dataset",
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "layout": self.layout,
            "parts": parts,
            "inputs": dict(inputs),
            "facts": dict(facts),
        }
        with replacing(self.folder / "index.json") as partial:
            partial.write_text(json.dumps(index, indent=2))
        return Store(self.folder)


def _stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays).astype(np.float32)


@dataclass
class Store:
    """A prepared benchmark, its arrays mapped into memory and not read until they are used.

    Args:
        folder: where `StoreWriter` wrote it.

    Raises:
        UsageError: there is no prepared benchmark in the folder; says how to make one.
        VidposeError: the index cannot be understood.
    """

    folder: Path
    name: str = field(init=False)
    layout: Skeleton = field(init=False)
    inputs: Mapping[str, Any] = field(init=False)
    facts: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        path = self.folder / "index.json"
        try:
            index = json.loads(path.read_text())
        except FileNotFoundError:
            raise UsageError(f"{self.folder}: no prepared benchmark; make it with `vidpose data prepare`") from None
        except (OSError, ValueError) as error:
            raise VidposeError(f"{path}: cannot be read ({error})") from None
        if index.get("format") != "vidpose-dataset" or index.get("format_version") != FORMAT_VERSION:
            raise VidposeError(f"{path}: not of this vidpose; prepare the benchmark again")
        self.name, self.layout = index["name"], get_skeleton(index["layout"])
        self.inputs, self.facts, self._parts = index["inputs"], index["facts"], index["parts"]
        self._open: dict[tuple[str, str], np.ndarray] = {}

    @cached_property
    def clips(self) -> list[StoredClip]:
        """All clips, in the order of their parts."""
        return [
            StoredClip(**clip)
            for part in self._parts
            for clip in json.loads((self.folder / "parts" / part / "clips.json").read_text())
        ]

    def joints(self, clip: StoredClip) -> np.ndarray:
        """(F, J, 3) metres in the camera frame."""
        return self._array(clip.part, "joints")[clip.rows]

    def keypoints(self, clip: StoredClip, input_name: str) -> np.ndarray:
        """(F, J, 2) or (F, J, 3) pixels.

        Raises:
            UsageError: the benchmark was prepared without that input.
        """
        if input_name not in self.inputs:
            raise UsageError(f"{self.folder}: no input {input_name!r}; there are {', '.join(self.inputs)}")
        return self._array(clip.part, f"keypoints-{input_name}")[clip.rows]

    def valid(self, clip: StoredClip) -> np.ndarray:
        """(F,) bool: frames that count."""
        if not (self.folder / "parts" / clip.part / "valid.npy").is_file():
            return np.ones(clip.frames, bool)
        return self._array(clip.part, "valid")[clip.rows]

    def add_input(self, name: str, facts: Mapping[str, Any], keypoints_of: Callable[[StoredClip], np.ndarray]) -> None:
        """Give the benchmark another input, part by part; parts that have it already are left alone.

        Args:
            name: of the input.
            facts: what it is, for the index.
            keypoints_of: gives (F, J, 2) or (F, J, 3) pixels of a clip.

        Raises:
            VidposeError: the folder cannot be written.
        """
        for part in self._parts:
            path = self.folder / "parts" / part / f"keypoints-{name}.npy"
            if not path.is_file():
                arrays = [keypoints_of(clip) for clip in self.clips if clip.part == part]
                with replacing(path) as partial:
                    np.save(partial, _stacked(arrays))
        index = json.loads((self.folder / "index.json").read_text())
        index["inputs"][name] = dict(facts)
        with replacing(self.folder / "index.json") as partial:
            partial.write_text(json.dumps(index, indent=2))
        self.inputs = index["inputs"]

    def _array(self, part: str, name: str) -> np.ndarray:
        if (part, name) not in self._open:
            path = self.folder / "parts" / part / f"{name}.npy"
            try:
                self._open[part, name] = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise VidposeError(f"{path}: cannot be read ({error}); prepare the benchmark again") from None
        return self._open[part, name]
