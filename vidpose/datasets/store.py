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

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct

from vidpose.body.skeletons import SKELETONS, Skeleton
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.files import describe, replacing, to_json, write_json
from vidpose.common.inputs import convert, open_input, read_json, reading, short

FORMAT_VERSION = 1


Split = Annotated[str, Meta(pattern="^(train|val|test)$")]


_Word = Annotated[str, Meta(max_length=200)]


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
    start: Annotated[int, Meta(ge=0)]
    frames: Annotated[int, Meta(ge=1)]
    split: Split
    subject: _Word
    action: _Word
    camera: _Word
    sequence: _Word
    width: Annotated[int, Meta(ge=0, le=32768)]
    height: Annotated[int, Meta(ge=0, le=32768)]
    fps: Annotated[float, Meta(gt=0, le=100_000)]

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
    split: Split
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
            (partial / "clips.json").write_text(to_json([asdict(clip) for clip in clips]))
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
        index = _Index("vidpose-dataset", FORMAT_VERSION, self.name, self.layout, parts, dict(inputs), dict(facts))
        _write_index(self.folder, index)
        return Store(self.folder)


@contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """An empty folder within `folder` for the time being, so that what is there stays until there is something else."""
    fresh = folder / ".fresh.partial"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        yield fresh
    except OSError as error:
        raise VidposeError(f"{folder}: cannot write ({describe(error)})") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays).astype(np.float32)


_FAR = 1e6
"""Metres from a camera, or pixels, that nothing is away."""

_AGAIN = "prepare the benchmark again"

_Name = Annotated[str, Meta(pattern=r"^[^./\\\x00][^/\\\x00]*$", max_length=200)]
"""Of something that is a file or a folder of that name."""


class _Index(Struct):
    """What `index.json` says."""

    format: str
    format_version: int
    name: _Name
    layout: str
    parts: list[_Name]
    inputs: dict[_Name, dict[str, Any]]
    facts: dict[str, Any]


def _index_of(folder: Path) -> Path:
    return folder / "index.json"


def _read_index(folder: Path) -> _Index:
    with reading(_index_of(folder), "the index of a prepared benchmark", _AGAIN):
        index = convert(read_json(_index_of(folder)), _Index)
        if index.format != "vidpose-dataset" or index.layout not in SKELETONS:
            raise ValueError(f"format {short(index.format)}, layout {short(index.layout)}")
    if index.format_version != FORMAT_VERSION:
        raise VidposeError(f"{_index_of(folder)}: of another vidpose (format {index.format_version}); {_AGAIN}")
    return index


def _write_index(folder: Path, index: _Index) -> None:
    write_json(_index_of(folder), msgspec.structs.asdict(index))


def open_store(name: str, folder: Path | None) -> Store:
    """A prepared benchmark by its name, in a folder or else in data/NAME.

    Raises:
        UsageError, VidposeError: as of `Store`; or there is another benchmark in the folder.
    """
    store = Store(folder or Path("data") / name)
    if store.name != name:
        raise UsageError(f"`data={store.folder}`: prepared from {store.name}, where {name} is asked for")
    return store


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
        if not _index_of(self.folder).exists():
            if (self.folder / "parts").is_dir():
                raise UsageError(
                    f"{self.folder}: its preparation was broken off; the same `vidpose data prepare` goes on with it"
                )
            raise UsageError(f"{self.folder}: no prepared benchmark; make it with `vidpose data prepare`")
        index = _read_index(self.folder)
        self.name, self.layout = index.name, SKELETONS[index.layout]
        self.inputs, self.facts, self._parts = index.inputs, index.facts, index.parts
        self._open: dict[tuple[str, str], np.ndarray] = {}

    @cached_property
    def clips(self) -> list[StoredClip]:
        """All clips, in the order of their parts."""
        return [clip for part in self._parts for clip in self._clips_of(part)]

    def _clips_of(self, part: str) -> list[StoredClip]:
        path = self.folder / "parts" / part / "clips.json"
        with reading(path, "the clips of a prepared benchmark", _AGAIN):
            clips = convert(read_json(path), list[StoredClip])
            rows = len(self._array(part, "joints"))
            for clip in clips:
                if clip.part != part or clip.start + clip.frames > rows:
                    raise ValueError(f"rows {clip.start} to {clip.start + clip.frames} of {short(clip.part)}")
        return clips

    def moved_to(self, folder: Path) -> Store:
        """Put the benchmark where another one is, or nothing; gives it as it is there.

        Raises:
            OSError: it cannot be put there.
        """
        old = folder / ".old.partial"
        shutil.rmtree(old, ignore_errors=True)
        _index_of(folder).unlink(missing_ok=True)
        if (folder / "parts").exists():
            (folder / "parts").rename(old)
        (self.folder / "parts").rename(folder / "parts")
        _index_of(self.folder).rename(_index_of(folder))
        shutil.rmtree(old, ignore_errors=True)
        return Store(folder)

    def joints(self, clip: StoredClip) -> np.ndarray:
        """(F, J, 3) metres in the camera frame; finite in frames that count.

        Raises:
            VidposeError: the file is damaged.
        """
        joints = self._array(clip.part, "joints")[clip.rows]
        counted = joints[self.valid(clip)]
        # Nobody stands in the camera, whence no ray to them would be known.
        if not (np.abs(counted) <= _FAR).all() or not counted[:, self.layout.parents.index(-1)].any(axis=-1).all():
            raise VidposeError(f"{self._path(clip.part, 'joints')}: has joints that cannot be; {_AGAIN}")
        return joints

    def keypoints(self, clip: StoredClip, input_name: str) -> np.ndarray:
        """(F, J, 2) or (F, J, 3) pixels.

        Raises:
            UsageError: the benchmark was prepared without that input.
        """
        if input_name not in self.inputs:
            raise UsageError(f"{self.folder}: no input {input_name!r}; there are {', '.join(self.inputs)}")
        keypoints = self._array(clip.part, f"keypoints-{input_name}")[clip.rows]
        if np.abs(np.nan_to_num(keypoints, posinf=np.inf)).max(initial=0) > _FAR:
            raise VidposeError(
                f"{self._path(clip.part, f'keypoints-{input_name}')}: has keypoints that cannot be; {_AGAIN}"
            )
        return keypoints

    def valid(self, clip: StoredClip) -> np.ndarray:
        """(F,) bool: frames that count."""
        if not self._path(clip.part, "valid").is_file():
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
            path = self._path(part, f"keypoints-{name}")
            if not path.is_file():
                arrays = [keypoints_of(clip) for clip in self.clips if clip.part == part]
                with replacing(path) as partial:
                    np.save(partial, _stacked(arrays))
        index = _read_index(self.folder)
        index.inputs[name] = dict(facts)
        _write_index(self.folder, index)
        self.inputs = index.inputs

    def _array(self, part: str, name: str) -> np.ndarray:
        if (part, name) not in self._open:
            path = self._path(part, name)
            with reading(path, "an array of a prepared benchmark", _AGAIN):
                open_input(path).close()
                array = np.lib.format.open_memmap(path, mode="r")
                self._check(part, name, array)
            self._open[part, name] = array
        return self._open[part, name]

    def _check(self, part: str, name: str, array: np.ndarray) -> None:
        """Raises ValueError for an array of another shape or type than the store's."""
        rows = len(array) if name == "joints" else len(self._array(part, "joints"))
        due = {"joints": ((rows, len(self.layout), 3),), "valid": ((rows,),)}.get(
            name, tuple((rows, len(self.layout), channels) for channels in (2, 3))
        )
        if array.shape not in due or array.dtype != (bool if name == "valid" else np.float32):
            raise ValueError(f"{array.shape} of {array.dtype}, where {due[0]} is due")

    def _path(self, part: str, name: str) -> Path:
        return self.folder / "parts" / part / f"{name}.npy"
