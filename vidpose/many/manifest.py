"""Which videos a batch is of: those in a folder, or those that a text file lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.inputs import read_text, reading
from vidpose.video.reading import check_local

_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".dv", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf"),
    *(".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
"""Of videos in a folder; a list may name others."""

_NAME_BYTES = 255


class Listed(NamedTuple):
    """A video of a batch.

    Attributes:
        where: the list has it, as in "line 3 of list.txt"; "" of a folder's.
    """

    video: Path
    where: str = ""


def list_videos(source: Path, out: Path) -> list[Listed]:
    """The videos of a batch, in order.

    Args:
        source: a folder, whose videos are looked for at any depth; or a text file with a video, or a folder of images,
            a line, each relative to the file's own folder. Empty lines, and those that begin with #, say nothing.
        out: the folder that is written to, whose overlays are no videos of the batch. It may be the source.

    Raises:
        UsageError: there is no video, or a line is an address.
        VidposeError: the source is not there, or is no text.
    """
    if source.is_dir():
        videos = [Listed(video) for video in sorted(_in_folder(source, out.resolve()))]
        if not videos:
            raise UsageError(f"{source}: no video here; name a folder with videos, or a text file that lists them")
        return videos
    with reading(source, "a list of videos", "give a folder of videos, or a text file with a video a line"):
        lines = read_text(source).splitlines()
        if any("\0" in line for line in lines):
            raise ValueError("it is no text")
        if too_long := [number for number, line in enumerate(lines, 1) if _longest_name(line) > _NAME_BYTES]:
            raise ValueError(f"line {too_long[0]} is longer than a file's name can be")
    told = {number: line.strip() for number, line in enumerate(lines, 1) if line.strip()}
    listed = {number: line for number, line in told.items() if not line.startswith("#")}
    if not listed:
        raise VidposeError(f"{source}: lists no video; write one a line")
    for number, line in listed.items():
        try:
            check_local(line)
        except UsageError as error:
            raise UsageError(f"{source}, line {number}: {error}") from None
    return [Listed(source.parent / line, f"line {number} of {source}") for number, line in listed.items()]


def _longest_name(line: str) -> int:
    return max(len(part.encode()) for part in line.split("/"))


def _in_folder(folder: Path, out: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in _SUFFIXES and path.is_file() and not is_hidden and not _is_ours(path, out):
            yield path


def _is_ours(path: Path, out: Path) -> bool:
    """Whether it is the overlay of a video of an earlier batch, beside its result."""
    folder = path.resolve().parent
    is_named_so = path.name == f"{folder.name}_overlay.mp4" and (folder / f"{folder.name}.npz").exists()
    return is_named_so and folder.parent == out
