"""What became of each video of a batch: a small file beside its results, which says that it is done."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from vidpose.common.files import write_json
from vidpose.common.inputs import convert, read_json, reading

Number = Annotated[int, Meta(ge=0, le=10**9)]

Seconds = Annotated[float, Meta(ge=0, le=1e9)]
"""Up to some thirty years, which tables can show and add up."""


@dataclass(frozen=True)
class Record:
    """One video of a batch.

    Attributes:
        video: as it was named.
        name: of the folder that its files are in, and that they begin with.
        people, frames: found, and decoded.
        video_seconds: its length.
        seconds, cpu_seconds: that it took, by the clock and of processors.
        warnings: what was noticed about it.
        failure: what went wrong; None where nothing did.
        video_bytes, video_changed: size of the video, and when it was changed, in nanoseconds since 1970; None where
            that was not noted.
    """

    video: str
    name: str
    people: Number = 0
    frames: Number = 0
    video_seconds: Seconds = 0.0
    seconds: Seconds = 0.0
    cpu_seconds: Seconds = 0.0
    warnings: tuple[str, ...] = ()
    failure: str | None = None
    video_bytes: int | None = None
    video_changed: int | None = None

    @staticmethod
    def begun(video: Path, name: str) -> Record:
        """Of a video that is about to be looked at, as it is now."""
        with suppress(OSError):  # what cannot be read is told by who reads it
            about = video.stat()
            return Record(str(video), name, video_bytes=about.st_size, video_changed=about.st_mtime_ns)
        return Record(str(video), name)

    def is_of(self, video: Path) -> bool:
        """Whether this is of a video as it is now.

        Size and time of change tell, so a video that was moved is the same. A disk may round times, by which those of
        two videos that are both there still must not differ. Where size and time are not known, the path tells: it is
        the same, or leads nowhere any more.
        """
        now, both_there = Record.begun(video, self.name), os.path.exists(self.video) and not self.names(video)
        if None in (now.video_bytes, self.video_bytes):
            return not both_there
        apart = abs((now.video_changed or 0) - (self.video_changed or 0))
        return now.video_bytes == self.video_bytes and apart <= (0 if both_there else _COARSE)

    def names(self, video: Path) -> bool:
        """Whether this is of a video at that path, perhaps as it was before."""
        with suppress(ValueError):  # a damaged file may name what is no path
            return os.path.realpath(self.video) == os.path.realpath(video)
        return False


def read_record(folder: Path) -> Record | None:
    """What became of the video of a folder; None where nothing is known. Raises VidposeError: its file is damaged."""
    path = folder / _RECORD
    if not path.exists():
        return None
    with reading(path, "a record of a batch", "remove it, and the video is done anew"):
        return convert(read_json(path, _MOST_BYTES), Record)


def write_record(folder: Path, record: Record) -> None:
    """Say what became of a video, once its files are whole."""
    write_json(folder / _RECORD, asdict(record), indent=1)


def forget(folder: Path) -> None:
    """Have a video done anew."""
    (folder / _RECORD).unlink(missing_ok=True)


def read_settings(out: Path) -> dict[str, Any] | None:
    """What the results in a batch's folder were made with; None where there are none. Raises as `read_record`."""
    path = out / _SETTINGS
    if not path.exists():
        return None
    with reading(path, "the settings of a batch", "choose another `out`"):
        settings = convert(read_json(path, _MOST_BYTES), dict[str, Any])
    # Before an overlay could be of meshes, it was of skeletons, or there was none.
    if isinstance(drawn := settings.get("overlay"), bool):
        settings["overlay"] = "skeletons" if drawn else "none"
    return settings


def write_settings(out: Path, settings: dict[str, Any]) -> None:
    """Say what the results of a batch's folder are made with."""
    write_json(out / _SETTINGS, settings, indent=1)


_COARSE = 2 * 10**9
"""Nanoseconds by which a time of change may be off: FAT knows every other second, and a network drive may round."""

_RECORD = "record.json"

_SETTINGS = "batch.json"

_MOST_BYTES = 1 << 20
"""Of a record."""
