"""What has been found in a video so far, kept on disk, so that a run that is interrupted can go on.

A search of hours is kept a segment at a time. A segment's file has everyone seen in its frames, and all that was known
of them at its end. A run that goes on from there finds what it would have found without a break, to the last bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from itertools import count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from vidpose import __version__
from vidpose.body.tracks import PoseResult
from vidpose.common.errors import VidposeError
from vidpose.common.files import write_npz
from vidpose.common.inputs import convert, strict_json
from vidpose.common.npz import open_npz
from vidpose.pipeline.choices import Filming, Finding
from vidpose.video.reading import check_readable

if TYPE_CHECKING:
    from vidpose.pipeline.followers import Sighting

SEGMENT_SECONDS = 600.0
"""Of video, after which what was found is kept."""


@dataclass(frozen=True)
class Rows:
    """Everyone in some of the frames, a row for each person and frame; R rows, K keypoints.

    Attributes:
        frames, ids: (R,) int64.
        boxes, keypoints, scores: (R, 4), (R, K, 2) and (R, K), as of `Track`.
    """

    frames: np.ndarray
    ids: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray

    @staticmethod
    def of(seen: Sequence[tuple[int, Sighting]], joints: int) -> Rows:
        """Rows of what was seen, with the numbers of the frames."""
        return Rows(
            np.array([frame for frame, _ in seen], np.int64),
            np.array([one.id for _, one in seen], np.int64),
            np.array([one.box for _, one in seen], np.float32).reshape(-1, 4),
            np.array([one.keypoints for _, one in seen], np.float32).reshape(-1, joints, 2),
            np.array([one.scores for _, one in seen], np.float32).reshape(-1, joints),
        )

    @staticmethod
    def joined(parts: Iterable[Rows]) -> Rows:
        """One after the other."""
        columns = zip(*(tuple(getattr(part, f.name) for f in fields(Rows)) for part in parts), strict=True)
        return Rows(*map(np.concatenate, columns))

    def where(self, chosen: np.ndarray) -> Rows:
        """Those rows alone."""
        return Rows(*(getattr(self, f.name)[chosen] for f in fields(self)))


class SegmentFacts(Struct):
    """Where in the video a segment ends.

    Attributes:
        last: number of its last frame.
        done: frames that were looked at so far.
        since: seconds of the frame that a search for cuts has to begin with, to know of all after `last`.
        cuts: numbers of the frames that shots begin with, so far.
    """

    last: int
    done: int
    since: float
    cuts: list[int]


@dataclass(frozen=True)
class Segment:
    """A part of a search, and all that was known at its end (`PeopleFinder.state`)."""

    facts: SegmentFacts
    rows: Rows
    state: Mapping[str, np.ndarray]


class NotGoneOnError(VidposeError):
    """What was kept is damaged, or of another search."""


@dataclass(frozen=True)
class Keeping:
    """Where what is found in a video is kept until its result is written.

    Attributes:
        file: of all that was found, once it has been. Segments are beside it, in a folder of its name.
        seconds: of video, after which a segment is kept.
        resume: go on from what is there.
    """

    file: Path
    seconds: float = SEGMENT_SECONDS
    resume: bool = False

    @property
    def folder(self) -> Path:
        return self.file.with_suffix("")

    @property
    def is_unfinished(self) -> bool:
        """Whether a run was interrupted before its result was written."""
        return self.file.exists() or self.folder.exists()

    def so_far(self, search: Mapping[str, Any]) -> list[Segment]:
        """The segments of an earlier run, in order; none where this one does not go on from it.

        Args:
            search: what is looked for, where and how (`search_of`).

        Raises:
            NotGoneOnError: a file is damaged, or of another search.
        """
        return [self._read(path, search) for path in self._paths()] if self.resume else []

    def found(self, search: Mapping[str, Any]) -> PoseResult | None:
        """All that an earlier run found; None where it did not come to its end. Raises as `so_far`."""
        if not (self.resume and self.file.exists() and self._path(1).exists()):
            return None
        self._read(self._path(1), search)
        return PoseResult.load(self.file)

    def add(self, number: int, segment: Segment, search: Mapping[str, Any]) -> None:
        """Keep a segment, of that number from 1; with the first, what an earlier run left is removed."""
        if number == 1:
            self.clear()
        facts = {f: getattr(segment.facts, f) for f in segment.facts.__struct_fields__}
        arrays = {f"{_ROWS}{f.name}": getattr(segment.rows, f.name) for f in fields(Rows)}
        arrays |= {f"{_STATE}{name}": array for name, array in segment.state.items()}
        header = {"format": _FORMAT, "format_version": 1, "search": search, "facts": facts}
        header["sha256"] = _checksum(facts, arrays)
        write_npz(self._path(number), header=np.array(json.dumps(header)), **arrays)

    def keep(self, found: PoseResult) -> None:
        """Keep all that was found."""
        found.save(self.file)

    def clear(self) -> None:
        """Remove what was kept: the result is written."""
        self.file.unlink(missing_ok=True)
        for path in self._paths():
            path.unlink()
        # What somebody else put there stays.
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:04}.npz"

    def _paths(self) -> Iterator[Path]:
        return takewhile(Path.exists, map(self._path, count(1)))

    def _read(self, path: Path, search: Mapping[str, Any]) -> Segment:
        try:
            return self._segment_in(path, search)
        except VidposeError as error:
            raise NotGoneOnError(str(error)) from error

    def _segment_in(self, path: Path, search: Mapping[str, Any]) -> Segment:
        with open_npz(path, "a segment of a search", "leave out `resume`, and the search begins anew") as file:
            header = strict_json(str(file.read("header", (), "U")))
            if not isinstance(header, dict) or header.get("format") != _FORMAT:
                raise ValueError("its header is of something else")
            # What came after the file was written was then as it is where nothing is said.
            theirs = {**_plain(Finding(), Filming()), **convert(header.get("search"), dict[str, Any])}
            if theirs != json.loads(json.dumps(search)):
                raise VidposeError(
                    f"{path}: of a search {_difference(theirs, search)}; leave out `resume`, and the search begins anew"
                )
            arrays = {name: file[name] for name in file if name != "header"}
            if header.get("sha256") != _checksum(header.get("facts"), arrays):
                raise ValueError("it is damaged: its checksum is another")
            facts = convert(header["facts"], SegmentFacts)
            rows = Rows(*(arrays[f"{_ROWS}{f.name}"] for f in fields(Rows)))
        state = {name.removeprefix(_STATE): array for name, array in arrays.items() if name.startswith(_STATE)}
        return Segment(facts, rows, state)


def _checksum(facts: Any, arrays: Mapping[str, np.ndarray]) -> str:
    """sha256 of all that a segment says, by which one that was damaged is known: nothing else could tell of a state."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


_FORMAT = "vidpose-segment"

_ROWS, _STATE = "rows_", "state_"


def search_of(video: Path, finding: Finding, filming: Filming) -> dict[str, Any]:
    """What a search depends on, as JSON has it: another search gives something else.

    Raises:
        UsageError, VidposeError: as of `check_readable`.
    """
    check_readable(video)
    about = video.stat()
    changed = state_of(video) if video.is_dir() else about.st_mtime_ns
    seen = {"video_bytes": about.st_size, "video_changed": changed, "vidpose": __version__}
    return {**_plain(finding, filming), **seen, "files_state": state_of(*finding.inputs)}


def state_of(*paths: Path) -> str:
    """What tells files, and those of folders, from what they may be later; those that are not there do not count."""
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    facts = [(str(file), stat.st_size, stat.st_mtime_ns) for file in files if file.exists() and (stat := file.stat())]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _plain(finding: Finding, filming: Filming) -> dict[str, Any]:
    """The settings that a search depends on."""
    how = {**asdict(finding), **asdict(filming)}
    del how["threads"]
    return {name: str(value) if isinstance(value, Path | Fraction) else value for name, value in how.items()}


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """In what two searches differ."""
    name = next(name for name in (*ours, *theirs) if theirs.get(name) != json.loads(json.dumps(ours.get(name))))
    if name.startswith("video_"):
        return "in another video, or in one that was changed since"
    if name == "files_state":
        return "with boxes, cuts or weights that were changed since"
    return f"with `{name}={theirs.get(name)}`, not {ours.get(name)}"
